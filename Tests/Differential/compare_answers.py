#!/usr/bin/env python3
"""Compares what `panguard rules eval` says about events with what pyatr said, rule by rule. Exit 1 if they differ unexplained.

  compare_answers.py answers.jsonl eval.jsonl [--explained FILE] [--events events.jsonl] [--partial]

--explained: one rule id a line, then why (`docs/atr-conformance.md` has the reasons); differences of these rules are counted apart.
"""
import argparse
import collections
import json
import sys


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("answers")
    arguments.add_argument("evaluated")
    arguments.add_argument("--explained")
    arguments.add_argument("--events")
    arguments.add_argument("--partial", action="store_true", help="answers without an evaluated event are no difference")
    options = arguments.parse_args()
    explained = {}
    if options.explained:
        for line in open(options.explained, encoding="utf-8"):
            if line.strip() and not line.startswith("#"):
                rule, _, why = line.strip().partition(" ")
                explained[rule] = why
    reference = {}
    for line in open(options.answers, encoding="utf-8"):
        record = json.loads(line)
        reference[record["id"]] = set(record["matches"])
    events = {}
    if options.events:
        for line in open(options.events, encoding="utf-8"):
            record = json.loads(line)
            events[record["id"]] = record["event"]
    missing, extra = collections.defaultdict(list), collections.defaultdict(list)
    compared = equal = matches = 0
    for line in open(options.evaluated, encoding="utf-8"):
        record = json.loads(line)
        if record["id"] not in reference:
            continue
        ours, theirs = {match["rule_id"] for match in record["matches"]}, reference[record["id"]]
        compared += 1
        equal += ours == theirs
        matches += len(theirs)
        for rule in sorted(theirs - ours):
            missing[rule].append(record["id"])
        for rule in sorted(ours - theirs):
            extra[rule].append(record["id"])
    unexplained = 0
    for name, table in (("only pyatr", missing), ("only panguard", extra)):
        for rule in sorted(table):
            note = "  (" + explained[rule] + ")" if rule in explained else ""
            unexplained += 0 if rule in explained else len(table[rule])
            print("%s: %s on %d events, such as %s%s" % (name, rule, len(table[rule]), table[rule][:5], note))
            if events and not note:
                print("    " + json.dumps(events[table[rule][0]], ensure_ascii=True)[:600])
    print("%d events compared, %d of %d equal; pyatr matched %d times; %d differences unexplained" % (
        compared, equal, compared, matches, unexplained))
    sys.exit(1 if unexplained or compared == 0 or compared < len(reference) and not options.partial else 0)


main()
