#!/usr/bin/env python3
"""What pyatr, ATR's Python reference, says about agent events: one line {"id":..,"matches":[rule ids, sorted]} for each.

  pyatr_answers.py events.jsonl [--rules DIR] > answers.jsonl

Without --rules it asks pyatr's own bundled rules. It does some ten events a second. pyatr searches the normalised and the raw text; where the
two are equal this searches once, which cannot change an answer.
"""
import argparse
import json
import logging
import sys
import warnings

from pyatr import ATREngine, AgentEvent

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)


class Engine(ATREngine):
    def _test_regex(self, rule_id, idx, pattern_str, normalized, raw):
        table = self.__dict__.setdefault("_by_condition", {})
        if rule_id not in table:
            table[rule_id] = dict(self._compiled.get(rule_id, []))
        compiled = table[rule_id].get(idx)
        if compiled is None:
            return False
        return bool(compiled.search(normalized)) or (raw != normalized and bool(compiled.search(raw)))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("events")
    arguments.add_argument("--rules")
    options = arguments.parse_args()
    engine = Engine()
    if options.rules:
        engine.load_rules_from_directory(options.rules)
    else:
        engine.load_bundled_rules()
    for line in open(options.events, encoding="utf-8"):
        record = json.loads(line)
        event = record["event"]
        found = engine.evaluate(
            AgentEvent(
                content=event.get("content", ""),
                event_type=event.get("event_type", "llm_input"),
                fields=event.get("fields", {}),
                metadata=event.get("metadata", {}),
            )
        )
        matches = sorted({match.rule_id for match in found})
        sys.stdout.write(json.dumps({"id": record["id"], "matches": matches}) + "\n")


main()
