#!/usr/bin/env python3
"""What the Python reference engine (pyatr) makes of the cases that rules carry, one JSON object a line:

    {"rule_id": ..., "case": "test_cases.true_positives[3]", "expected": true, "fired": true}

"fired" is null with a "reason" where the reference does not run the case: a rule that it cannot load, a case that is no mapping.
Events are built by the reference's own test runner, and each case is evaluated against its own rule only. Drafts and deprecated rules never
fire in the reference; "active": false marks their cases.

    Tests/Differential/pyatr_cases.py RULES... > reference.jsonl
    panguard rules test RULES --reference reference.jsonl

Needs pyatr and PyYAML; where they are absent it says so and ends with 77, which test harnesses read as "skipped".
"""
import json
import logging
import os
import sys

try:
    import yaml
    from pyatr.engine import ATREngine, _parse_rule
    from pyatr.test_runner import _build_event_from_test_case
except ImportError as error:
    print(f"skipped: {error}", file=sys.stderr)
    sys.exit(77)

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
GROUPS = ["true_positives", "true_negatives", "evasion_tests"]


def rule_files(paths):
    for path in paths:
        if os.path.isfile(path):
            yield path
            continue
        for root, directories, names in os.walk(path):
            directories.sort()
            for name in sorted(names):
                if name.endswith((".yaml", ".yml")):
                    yield os.path.join(root, name)


def cases(document):
    """(path, group, case) of every case, in the order in which panguard reads them."""
    holder = document.get("test_cases")
    if isinstance(holder, dict):
        for group in GROUPS:
            for index, case in enumerate(holder.get(group) or []):
                yield f"test_cases.{group}[{index + 1}]", group, case
    for index, case in enumerate(document.get("evasion_tests") or []):
        yield f"evasion_tests[{index + 1}]", "evasion_tests", case


def expectation(group, case):
    word = case.get("expected") if isinstance(case, dict) else None
    return word in ("triggered", "trigger", "match") if word else group != "true_negatives"


def main():
    logging.disable(logging.CRITICAL)
    for path in rule_files(sys.argv[1:]):
        with open(path, encoding="utf-8") as file:
            document = yaml.load(file, Loader=LOADER)
        if not isinstance(document, dict) or "id" not in document:
            continue
        engine, rule, reason = ATREngine(), None, None
        try:
            rule = _parse_rule(document)
            engine.load_rule(rule)
        except Exception as error:
            reason = f"the reference cannot load the rule: {error}"
        is_active = str(document.get("status", "")) not in ("draft", "deprecated")
        for case_path, group, case in cases(document):
            line = {"rule_id": str(document["id"]), "case": case_path, "expected": expectation(group, case), "fired": None}
            if reason is None and isinstance(case, dict):
                try:
                    event = _build_event_from_test_case(case)
                    line["fired"] = is_active and engine._evaluate_rule(rule, event) is not None
                except Exception as error:
                    line["reason"] = f"the reference fails: {error}"
            else:
                line["reason"] = reason or "the reference reads only cases that are mappings"
            if not is_active:
                line["active"] = False
            print(json.dumps(line, ensure_ascii=False))


if __name__ == "__main__":
    main()
