#!/usr/bin/env python3
"""Agent events for comparing engines: generated and mutated from the test cases of a folder of ATR rules, the same for the same seed.

  agent_events.py RULES --count 12000 --seed 1 > events.jsonl

Each line is {"id":..,"event":{"content":..,"event_type":..,"fields":{..}}}, as `panguard rules eval` and pyatr's AgentEvent take it.
The texts are the rules' authors'; so the events are made anew where they are needed and only answers to them are kept.
"""
import argparse
import glob
import json
import random
import sys

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TYPES = ["llm_input", "llm_output", "tool_call", "tool_response", "multi_agent_message", "agent_behavior"]
FIELDS = ["user_input", "agent_output", "tool_name", "tool_args", "tool_response", "tool_description", "agent_message", "content", "tool_input"]
WORDS = """the a of to and in is it you that he was for on are with as his they be at one have this from or had by hot word but what some we
can out other were all there when up use your how said an each she which do their time if will way about many then them write would like so
these her long make thing see him two has look more day could go come did number sound no most people my over know water than call first who
may down side been now find file server deploy table query cache token index review branch merge build release customer invoice report""".split()
GLYPHS = {"a": "\u0430", "e": "\u0435", "o": "\u043e", "i": "\u0456", "c": "\u0441", "p": "\u0440", "s": "\u017f", "k": "\u212a", "I": "\u0131", "A": "\u00c5", "u": "\u00f9", "n": "\u00f1"}
HIDDEN = "\u200b\u200c\u200d\ufeff\u2060\u180e\u200e\u200f\u202a\u202e\u2066\u2069\u00ad"
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2003", "\u2028", "\x0b", "\x1c", "\x85", "", "-", "_"]


def texts(folder):
    found = []
    for path in sorted(glob.glob(folder + "/**/*.y*ml", recursive=True)):
        with open(path, encoding="utf-8") as file:
            rule = yaml.load(file, LOADER)
        cases = list((rule.get("test_cases") or {}).values()) + [rule.get("evasion_tests") or []]
        for group in cases:
            for case in group or []:
                for key, value in (case.items() if isinstance(case, dict) else []):
                    if key in ("description", "notes", "reason", "expected", "bypass_technique", "evasion_technique", "matched_condition"):
                        continue
                    found.append(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return [t for t in found if t and len(t) <= 4000]


def mutate(text, other, rng):
    kind = rng.randrange(16)
    at = rng.randrange(len(text) + 1)
    if kind == 0:
        return text.upper()
    if kind == 1:
        return "".join(c.upper() if rng.random() < 0.5 else c.lower() for c in text)
    if kind == 2:
        return "".join(c + (rng.choice(HIDDEN) if rng.random() < 0.1 else "") for c in text)
    if kind == 3:
        return "".join(GLYPHS.get(c, c) if rng.random() < 0.15 else c for c in text)
    if kind == 4:
        space = rng.choice(SPACES)
        return text.replace(" ", space)
    if kind == 5:
        return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and rng.random() < 0.3 else c for c in text)
    if kind == 6:
        return text[at:] + " " + text[:at]
    if kind == 7:
        return text[: at // 2] + other[len(other) // 3 :]
    if kind == 8:
        return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(3, 40))) + ". " + text
    if kind == 9:
        return text + "\n" * rng.randrange(1, 3) + " ".join(rng.choice(WORDS) for _ in range(rng.randrange(3, 40)))
    if kind == 10:
        words = text.split(" ")
        rng.shuffle(words)
        return " ".join(words)
    if kind == 11:
        return "".join(c + ("\u0301" if c in "aeiou" and rng.random() < 0.2 else "") for c in text)
    if kind == 12:
        return "".join(c for c in text if rng.random() > 0.03)
    if kind == 13:
        return "".join(rng.choice([c, c + c]) if rng.random() < 0.05 else c for c in text)
    if kind == 14:
        return "```\n" + text + "\n```"
    return text[:at] + rng.choice(["\x00", "\x1f", "\x85", " ", "\u2019", "\u2026", "\U0001f600", "\t\t", '"', "\\n"]) + text[at:]


def event(seeds, rng):
    text = rng.choice(seeds)
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        text = mutate(text, rng.choice(seeds), rng)
    if rng.random() < 0.15:
        text = " ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 60)))
    made = {"content": text[:4000], "event_type": rng.choice(TYPES), "fields": {}}
    if rng.random() < 0.4:
        for name in rng.sample(FIELDS, rng.randrange(1, 3)):
            value = rng.choice(seeds) if rng.random() < 0.7 else rng.choice(["", "search", "read_file", text[:200]])
            made["fields"][name] = value[:2000]
    if rng.random() < 0.05:
        made["content"] = ""
    return made


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("rules")
    arguments.add_argument("--count", type=int, default=12000)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    seeds = texts(options.rules)
    rng = random.Random(options.seed)
    for number in range(options.count):
        line = {"id": number, "event": event(seeds, rng)}
        sys.stdout.write(json.dumps(line, ensure_ascii=True) + "\n")


main()
