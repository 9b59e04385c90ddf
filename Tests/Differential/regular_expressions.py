#!/usr/bin/env python3
"""Compares what this package makes of regular expressions with the engines that rules are written for.

For each pattern of ../shared/corpora/atr (and of an installed pyatr) and each text (the test cases of its rules; texts derived from
the pattern, mutated, in other cases, with characters beyond ASCII): the spans of Python's `re`, else `regex` (V0), else node; of
PCRE2 with our translation, JIT and interpreter, for ASCII and for Unicode texts; and whether each match contains what the analysis
says it must. Prints counts and each difference; exit status 1 if there is one. Needs PyYAML; uses `regex` and node where installed.

    swift build --product regular-expressions-outline
    python3 Tests/Differential/regular_expressions.py [--sample N] [--seed S] [--texts N] [--jobs N] [--outline PROGRAM] [--case-table]

The texts of a pattern depend on the seed and the pattern alone, so a part of the corpus gives a part of the whole run's answers.
"""
import argparse, collections, ctypes, glob, json, multiprocessing, os, random, re, shutil, signal, subprocess, sys, warnings

warnings.filterwarnings("ignore")
from re import _parser as sre_parse, _constants as sre

try:
    import regex
except ImportError:
    regex = None

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.environ.get("PANGUARD_SHARED") or os.path.join(os.path.dirname(ROOT), "shared")

# --- PCRE2

UTF, INVALID_UTF, NEVER_C, OFFSET_LIMIT, NO_JIT = 0x80000, 0x04000000, 0x100000, 0x800000, 0x2000
L = ctypes.CDLL("libpcre2-8.so.0")
V, U, S = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_size_t
L.pcre2_compile_8.restype = V
L.pcre2_compile_8.argtypes = [ctypes.c_char_p, S, U, V, V, V]
L.pcre2_match_data_create_8.restype = V
L.pcre2_match_context_create_8.restype = V
L.pcre2_get_ovector_pointer_8.restype = ctypes.POINTER(S)
L.pcre2_get_ovector_pointer_8.argtypes = [V]
L.pcre2_match_8.argtypes = [V, ctypes.c_char_p, S, S, U, V, V]
L.pcre2_jit_compile_8.argtypes = [V, U]
L.pcre2_code_free_8.argtypes = [V]
L.pcre2_set_match_limit_8.argtypes = [V, U]
DATA = L.pcre2_match_data_create_8(1, None)
CONTEXT = L.pcre2_match_context_create_8(None)
OVECTOR = L.pcre2_get_ovector_pointer_8(DATA)
L.pcre2_set_match_limit_8(CONTEXT, 3_000_000)


def pcre2_compile(pattern, options):
    code, at = ctypes.c_int(), S()
    raw = pattern.encode()
    made = L.pcre2_compile_8(raw, len(raw), options, ctypes.byref(code), ctypes.byref(at), None)
    if made:
        L.pcre2_jit_compile_8(made, 1)
        return made
    buffer = ctypes.create_string_buffer(256)
    L.pcre2_get_error_message_8(code, buffer, S(256))
    return "%s at %d" % (buffer.value.decode(), at.value)


def pcre2_spans(code, raw, options, most):
    spans, at = [], 0
    while at <= len(raw) and len(spans) < most:
        result = L.pcre2_match_8(code, raw, len(raw), at, options, DATA, CONTEXT)
        if result == -1:
            break
        if result < 0:
            return "error %d" % result
        start, end = OVECTOR[0], OVECTOR[1]
        spans.append((start, end))
        at = end if end > start else end + 1
        while at < len(raw) and raw[at] & 0xC0 == 0x80:
            at += 1
    return spans


# --- the references

class Slow(Exception):
    pass


def alarm(*_):
    raise Slow()


signal.signal(signal.SIGALRM, alarm)


def python_spans(compiled, text, most):
    spans, at = [], 0
    signal.setitimer(signal.ITIMER_REAL, 2)
    try:
        while at <= len(text) and len(spans) < most:
            match = compiled.search(text, at)
            if not match:
                break
            spans.append(match.span())
            at = match.end() if match.end() > match.start() else match.end() + 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return spans


def in_bytes(text, spans):
    if text.isascii():
        return spans
    offsets = [0]
    for character in text:
        offsets.append(offsets[-1] + len(character.encode()))
    return [(offsets[a], offsets[b]) for a, b in spans]


NODE = r"""
const lines = require('fs').readFileSync(0, 'utf8').split('\n').filter(x => x)
for (const line of lines) {
  const {pattern, flags, texts} = JSON.parse(line)
  let re
  try { re = new RegExp(pattern, flags) } catch (e) { console.log(JSON.stringify({error: String(e)})); continue }
  console.log(JSON.stringify({spans: texts.map(t => {
    const out = []; re.lastIndex = 0
    for (const m of t.matchAll(re)) { out.push([Buffer.byteLength(t.slice(0, m.index)), Buffer.byteLength(t.slice(0, m.index + m[0].length))]); if (out.length >= 8) break }
    return out })}))
}
"""

# --- texts

NON_ASCII = "éßſKİıµÅ中漢😀\u200b\u00a0\u0085\u2028\U000e0041Ⅷ٣ﬆ"


class Maker:
    """Texts that a pattern matches, or nearly."""

    def __init__(self, rng):
        self.rng = rng

    def make(self, tree, depth=0):
        return "".join(self.one(op, value, depth) for op, value in tree)

    def one(self, op, value, depth):
        rng = self.rng
        if op is sre.LITERAL:
            return chr(value)
        if op is sre.NOT_LITERAL:
            return rng.choice([c for c in "a \n.Z0" if ord(c) != value])
        if op is sre.ANY:
            return rng.choice("ax .0-é")
        if op is sre.IN:  # now and then one that may be no member: letters with cases beyond ASCII, what \w and \s end at
            return rng.choice("iksIKS0_ -.") if rng.random() < 0.06 else self.member(value)
        if op is sre.BRANCH:
            return self.make(rng.choice(value[1]), depth + 1)
        if op is sre.SUBPATTERN:
            return self.make(value[3], depth + 1)
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            low, high, inner = value
            count = rng.choice([low, low, low + 1, low + rng.randrange(4)])
            count = min(count, high if isinstance(high, int) else count, low + 8, 300)
            return "".join(self.make(inner, depth + 1) for _ in range(count))
        if op is sre.ATOMIC_GROUP:
            return self.make(value, depth + 1)
        if op is sre.ASSERT:
            return self.make(value[1], depth + 1) if rng.random() < 0.5 or value[0] < 0 else ""
        if op is sre.ASSERT_NOT:
            return self.make(value[1], depth + 1) if rng.random() < 0.1 else ""
        if op is sre.GROUPREF:
            return ""
        return ""

    def member(self, items):
        rng = self.rng
        negated = items and items[0][0] is sre.NEGATE
        if negated:
            for _ in range(40):
                c = rng.choice("a zZ0.-_/\n\t\"'é中")
                if not self.holds(items[1:], c):
                    return c
            return "~"
        op, value = rng.choice(items)
        if op is sre.LITERAL:
            return chr(value)
        if op is sre.RANGE:
            return chr(rng.randint(*value))
        return {
            sre.CATEGORY_DIGIT: lambda: rng.choice("0189٣"), sre.CATEGORY_WORD: lambda: rng.choice("aZ_9é"),
            sre.CATEGORY_SPACE: lambda: rng.choice("  \n\t\x1f\u00a0"), sre.CATEGORY_NOT_SPACE: lambda: rng.choice("a.-/"),
            sre.CATEGORY_NOT_WORD: lambda: rng.choice(" .-/"), sre.CATEGORY_NOT_DIGIT: lambda: rng.choice("a -"),
        }[value]()

    @staticmethod
    def holds(items, c):
        for op, value in items:
            if op is sre.LITERAL and value == ord(c) or op is sre.RANGE and value[0] <= ord(c) <= value[1]:
                return True
            if op is sre.CATEGORY:
                name = str(value)
                kind = {"D": c.isdigit(), "S": c.isspace(), "W": c.isalnum() or c == "_"}[name.replace("CATEGORY_", "").replace("NOT_", "")[0]]
                if kind != ("NOT" in name):
                    return True
        return False

    def mutate(self, text):
        rng = self.rng
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(text) + 1)
            kind = rng.randrange(7)
            if kind == 0 and text:
                text = text[:at] + text[at + 1:]
            elif kind == 1:
                text = text[:at] + rng.choice(NON_ASCII) + text[at:]
            elif kind == 2:
                text = text[:at] + rng.choice("\n \t\x1c\x0b.aiks0_-") + text[at:]
            elif kind == 3:
                text = text.swapcase() if rng.random() < 0.5 else text.upper()
            elif kind == 4:
                text = "".join({"k": "K", "s": "ſ", "i": rng.choice("İı"), "S": "ſ"}.get(c, c) if rng.random() < 0.3 else c for c in text)
            elif kind == 5:
                text = text[:at] + text[at:] * 2
            else:
                text = rng.choice(["", "x", " ", "\n", "é"]) + text + rng.choice(["", "x", " ", "\n", "\n\n", "é", "中"])
        return text

    def texts(self, pattern, count):
        found = []
        try:
            # What stands in a look-behind shall stand in the text, and what only ECMAScript knows is put as Python has it.
            plain = re.sub(r"\\u\{([0-9A-Fa-f]+)\}", lambda m: "\\U%08x" % int(m[1], 16), pattern)
            plain = re.sub(r"\\1|\(\?<[=!]|\\uDB40\[\\uDC00-\\uDC7F\]", lambda m: "\\x01" if m[0] == "\\1" else "(?:" if m[0][0] == "(" else "\\U000e0041", plain)
            tree = sre_parse.parse(plain)
        except Exception:
            tree = None
        for index in range(count):
            if tree is not None:
                text = self.make(tree)[:4000]
            else:
                text = " ".join(self.rng.choice(re.findall(r"[A-Za-z0-9]{2,}", pattern) or ["x"]) for _ in range(6))
            if index % 3:
                text = self.mutate(text)
            found.append(re.sub("[\ud800-\udfff]", "", text))
        return found


# --- the corpus

def corpus():
    import yaml

    patterns = {}

    def strings(node):
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict):
            for value in node.values():
                yield from strings(value)
        elif isinstance(node, list):
            for value in node:
                yield from strings(value)

    def rule(data):
        if not isinstance(data, dict):
            return
        conditions = (data.get("detection") or {}).get("conditions")
        items = conditions if isinstance(conditions, list) else list(conditions.values()) if isinstance(conditions, dict) else []
        cases = [text for text in strings(data.get("test_cases")) if len(text) > 8][:40]
        for item in items:
            if not isinstance(item, dict) or "regex" not in (item.get("operator"), item.get("match_type")):
                continue
            values = list(item.get("patterns") or []) + ([item["value"]] if item.get("value") is not None else [])
            for value in values:
                patterns.setdefault(str(value), []).extend(cases)

    for path in sorted(glob.glob(os.path.join(SHARED, "corpora/atr/rules-*/**/*.y*ml"), recursive=True)):
        with open(path, encoding="utf-8") as file:
            rule(yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    try:
        import pyatr
        with open(os.path.join(os.path.dirname(pyatr.__file__), "_bundled_rules.json"), encoding="utf-8") as file:
            for data in json.load(file):
                rule(data)
    except ImportError:
        print("pyatr is not installed: its bundle is not compared")
    return patterns


def outline(patterns, program):
    if program is None:
        built = [os.path.join(ROOT, ".build", kind, "regular-expressions-outline") for kind in ("release", "debug")]
        program = max(built, key=lambda path: os.path.getmtime(path) if os.path.exists(path) else 0)
    lines = "".join("i" + pattern.encode().hex() + "\n" for pattern in patterns)
    answer = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in answer.stdout.splitlines()]


FOLD = {0x130: "i", 0x131: "i", 0x17F: "s", 0x212A: "k", **{c: chr(c | 0x20) for c in range(0x41, 0x5B)}}


def scan_form(text):
    """What literals are looked for in: each run of white space is one space."""
    return re.sub(r"\s+", " ", text).translate(FOLD).encode()


def check_analysis(found, text, raw, spans, report):
    for start, end in spans:
        low, high = found["lengths"]
        if end - start < low or high is not None and end - start > high:
            report("length %d outside %s" % (end - start, found["lengths"]))
        if found["literals"] is not None:
            after = scan_form(raw[start:].decode())
            blank = max((len(run) for run in re.findall(rb"[\t-\r\x1c- \x80-\xff]+", raw)), default=0)
            reaches = [(literal, most if most is None else most + blanks * blank) for literal, most, blanks in found["literals"]]
            if not any(0 <= after.find(literal) and (most is None or after.find(literal) <= most) for literal, most in reaches):
                report("no literal of %s after byte %d" % (found["literals"][:5], start))
            rest = raw[start:]
            if not any(
                all(any(literal in after for literal in literals) for literals in sets)
                and all(any(byte in members for byte in rest) for members in masks)
                for sets, masks in found["clauses"]
            ):
                report("none of the clauses %s" % found["clauses"][:5])
        rest = raw[start:]
        for members in found["sets"]:
            if not any(byte in members for byte in rest):
                report("no byte of a required set")
        for members, count in found["runs"]:
            longest = now = 0
            for byte in rest:
                now = now + 1 if byte in members else 0
                longest = max(longest, now)
            if longest < count:
                report("no run of %d" % count)


def case_table():
    """Every code point's equals: Python against PCRE2. Prints what CaseTable.swift must list."""
    import _sre
    every = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF and (_sre.unicode_iscased(c) or chr(c).lower() != chr(c))]
    text = "".join(map(chr, every))
    raw = text.encode()
    for c in every:
        python = {ord(m.group()) for m in re.finditer(re.escape(chr(c)), text, re.I)}
        code = pcre2_compile("(?i)\\x{%x}" % c, UTF)
        pcre2 = {ord(raw[a:b].decode()) for a, b in pcre2_spans(code, raw, 0, 100)}
        L.pcre2_code_free_8(code)
        if python != pcre2:
            print("%x: Python only %s, PCRE2 only %s" % (c, sorted(map(hex, python - pcre2)), sorted(map(hex, pcre2 - python))))


def for_python(pattern):
    """What only ECMAScript understands, in Python's words: code points in braces, pairs of surrogates, a group that is not there."""
    def pair(match):
        high = (int(match[1], 16) - 0xD800) << 10
        low = re.sub(r"\\u(D[C-F][0-9A-F]{2})", lambda m: "\\U%08x" % (0x10000 + high + int(m[1], 16) - 0xDC00), match[2], flags=re.I)
        return low
    pattern = re.sub(r"\\u\{([0-9A-Fa-f]+)\}", lambda m: "\\U%08x" % int(m[1], 16), pattern)
    pattern = re.sub(r"\\u(D[89AB][0-9A-F]{2})(\\uD[C-F][0-9A-F]{2}|\[(?:\\uD[C-F][0-9A-F]{2}|-)+\])", pair, pattern, flags=re.I)
    if "\\1" in pattern and not re.search(r"(?<!\\)\((?!\?)", pattern):
        pattern = pattern.replace("\\1", "\\x01")
    return pattern


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--sample", type=int, help="so many patterns, chosen by the seed")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--texts", type=int, default=24, help="texts derived from each pattern")
    arguments.add_argument("--show", type=int, default=40, help="differences that are printed in full")
    arguments.add_argument("--jobs", type=int, default=1, help="processes")
    arguments.add_argument("--outline", help="the built regular-expressions-outline; else the newer of .build/release and .build/debug")
    arguments.add_argument("--case-table", action="store_true")
    arguments = arguments.parse_args()
    if arguments.case_table:
        return case_table()
    cases = corpus()
    patterns = list(cases)
    if arguments.sample:
        patterns = random.Random(arguments.seed).sample(patterns, min(arguments.sample, len(patterns)))
    count = collections.Counter()
    differences = []
    parts = [(patterns[part::arguments.jobs], cases, arguments) for part in range(arguments.jobs)]
    if arguments.jobs == 1:
        answers = [compare(parts[0])]
    else:
        with multiprocessing.Pool(arguments.jobs) as pool:
            answers = pool.map(compare, parts, chunksize=1)
    for counted, found in answers:
        count += counted
        differences += found
    for key in sorted(count):
        print("%8d  %s" % (count[key], key))
    for kind, pattern, text, detail in differences[:arguments.show]:
        print("\n%s\n  pattern %s\n  text    %r\n  %s" % (kind, pattern, text[:400], detail[:400]))
    return 1 if differences else 0


def compare(part):
    """Counts and differences of these patterns."""
    patterns, cases, arguments = part
    count = collections.Counter()
    differences = []
    for_node = []

    def difference(kind, pattern, text, detail):
        count["DIFFERENCE " + kind] += 1
        differences.append((kind, pattern, text, detail))

    for pattern, found in zip(patterns, outline(patterns, arguments.outline)):
        count["patterns"] += 1
        maker = Maker(random.Random("%d %s" % (arguments.seed, pattern)))
        if "error" in found:
            message = bytes.fromhex(found["error"]).decode()
            if found["unsupported"]:
                count["unsupported: " + message] += 1
                print("UNSUPPORTED %s\n  %s" % (message, pattern))
            else:
                difference("refused", pattern, "", message)
            continue
        codes = {}
        for kind, options in ("ascii", NEVER_C | OFFSET_LIMIT), ("unicode", NEVER_C | OFFSET_LIMIT | UTF | INVALID_UTF):
            if found[kind] is not None:
                codes[kind] = pcre2_compile(bytes.fromhex(found[kind]).decode(), options)
                if isinstance(codes[kind], str):
                    difference("does not compile", pattern, "", kind + ": " + codes.pop(kind))
        found["literals"] = found["requirement"] and [(bytes.fromhex(a), b, c) for a, b, c in found["requirement"]]
        count["without literals" if found["literals"] is None else "with literals"] += 1
        found["clauses"] = [
            ([[bytes.fromhex(x) for x in literals] for literals in sets], [frozenset(bytes.fromhex(x)) for x in masks])
            for sets, masks in found["clauses"] or []
        ]
        found["sets"] = [frozenset(bytes.fromhex(x)) for x in found["sets"]]
        found["runs"] = [(frozenset(bytes.fromhex(x)), n) for x, n in found["runs"]]
        explained = for_python(pattern)
        if explained != pattern:
            count["spelled for Python"] += 1
        try:
            reference, name = re.compile(explained, re.I), "re"
        except re.error:
            try:
                reference, name = regex.compile(explained, regex.I | regex.V0), "regex"
            except Exception:
                reference, name = None, "node"
        count["reference " + name] += 1
        texts = [re.sub("[\ud800-\udfff]", "", t)[:20000] for t in cases[pattern]] + maker.texts(pattern, arguments.texts)
        answers = []
        unbounded = bytes.fromhex(found["unicode"] or "").decode()
        for text in texts:
            raw = text.encode()
            spans = None
            # `re` decides what the reference means; its stand-in differs from it in these characters.
            if name == "regex" and re.search("[\x1c-\x1f\u0130\u0131]", text):
                count["`regex` is not `re` on U+001C..U+001F (\\s) and U+0130, U+0131 (case): not compared"] += 1
                answers.append(None)
                continue
            if reference is not None:
                try:
                    spans = in_bytes(text, python_spans(reference, text, 8))
                except Slow:
                    count["reference too slow"] += 1
                    answers.append(None)
                    continue
                count["texts compared"] += 1
                count["texts that match"] += bool(spans)
            for kind in ["ascii", "unicode"] if raw.isascii() else ["unicode"]:
                for how, options in ("jit", 0), ("interpreter", NO_JIT):
                    ours = pcre2_spans(codes[kind], raw, options, 8) if kind in codes else []
                    if isinstance(ours, str):
                        count["%s: %s" % (how, ours)] += 1
                        continue
                    if spans is None:
                        spans = ours
                    if "\\K" in unbounded:  # whether it matches is exact, where it begins need not be
                        ours, spans = bool(ours), bool(spans)
                    if ours != spans:
                        difference("%s %s" % (kind, how), pattern, text, "%s %s, ours %s" % (name, spans, ours))
                    else:
                        count["%s %s agrees" % (kind, how)] += 1
            if spans and spans is not True:
                check_analysis(found, text, raw, spans, lambda what: difference("analysis", pattern, text, what))
            answers.append(None if spans is True or spans is False else spans)
        for code in codes.values():
            L.pcre2_code_free_8(code)
        stripped = re.sub(r"^\(\?[imsx]+\)", "", pattern)
        flags = re.match(r"^\(\?([imsx]+)\)|", pattern)[1] or ""
        if "x" not in flags:
            needs_u = "\\u{" in pattern
            # Elsewhere ECMAScript differs by design: white space, word characters and case beyond ASCII, $ before a last line feed.
            # (Under its flag u it has case beyond ASCII, but for U+0130 and U+0131.)
            usable = [i for i, t in enumerate(texts) if answers[i] is not None and len(t) < 3000
                      and not re.search("[\x1c-\x1f\x85\u0130\u0131]" if needs_u else "[\x1c-\x1f]|\n$", t) and (needs_u or t.isascii())]
            for_node.append((pattern, stripped, "gi" + ("u" if needs_u else "") + "".join(f for f in "ms" if f in flags),
                             [texts[i] for i in usable], [answers[i] for i in usable]))
    if shutil.which("node"):
        for start in range(0, len(for_node), 50):
            batch = for_node[start:start + 50]
            lines = "".join(json.dumps({"pattern": p, "flags": f, "texts": t}) + "\n" for _, p, f, t, _ in batch)
            try:
                answer = subprocess.run(["node", "-e", NODE], input=lines, capture_output=True, text=True, timeout=120)
            except subprocess.TimeoutExpired:
                count["node too slow (batches)"] += 1
                continue
            for (pattern, _, flags, texts, ours), line in zip(batch, answer.stdout.splitlines()):
                result = json.loads(line)
                if "error" in result:
                    count["node refuses"] += 1
                    continue
                for text, a, b in zip(texts, result["spans"], ours):
                    if [tuple(x) for x in a] == b:
                        count["node agrees"] += 1
                    else:
                        difference("node", pattern, text, "node %s, ours %s" % (a, b))
    return count, differences


if __name__ == "__main__":
    sys.exit(main())
