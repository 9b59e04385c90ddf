#!/usr/bin/env python3
"""What `panguard inspect` says about the captures of shared/corpora/pcap, beside what the tools named there agree on.

  Tests/Differential/captures.py [--panguard PATH] [--results FILE]

Prints the table of shared/tools/score.py, each expectation that is not met, and each capture that ended by a signal, does not end, or takes
more than 2 s of processor time. Exit code 1 if there is any of the latter. PANGUARD_SHARED: where shared/ is; default: beside the repository.
"""
import argparse, collections, json, os, re, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.environ.get("PANGUARD_SHARED", os.path.join(ROOT, "../shared"))
CAPTURES = os.path.join(SHARED, "corpora/pcap")


TYPES = {"A": 1, "NS": 2, "MD": 3, "MF": 4, "CNAME": 5, "SOA": 6, "NULL": 10, "WKS": 11, "PTR": 12, "HINFO": 13, "MX": 15, "TXT": 16, "RP": 17,
         "AFSDB": 18, "X25": 19, "RT": 21, "SIG": 24, "KEY": 25, "AAAA": 28, "LOC": 29, "SRV": 33, "NAPTR": 35, "CERT": 37, "DNAME": 39,
         "OPT": 41, "DS": 43, "SSHFP": 44, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "NSEC3": 50, "NSEC3PARAM": 51, "TLSA": 52, "SVCB": 64,
         "HTTPS": 65, "SPF": 99, "TKEY": 249, "TSIG": 250, "IXFR": 251, "AXFR": 252, "ANY": 255, "URI": 256, "CAA": 257}
CODES = {name: i for i, name in enumerate(("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
                                           "NOTAUTH", "NOTZONE"))}


def number(name, table):
    """As the wire has it; names like TYPE123 and RCODE12 carry it."""
    digits = re.sub(r"^[A-Z]+", "", str(name))
    return table.get(name, int(digits) if digits.isdigit() else name)


def end(event, side):
    address = event[side + ".ip"]
    return "%s:%s" % ("[%s]" % address if ":" in address else address, event.get(side + ".port"))


def result(file, text):
    """One object in the form of score.py."""
    out = {"file": file, "frames": 0, "layers": {}, "dns_queries": [], "dns_responses": [], "http_requests": [],
           "tls_client_hellos": [], "quic_client_hellos": [], "ssh_banners": []}
    for line in text.split("\n"):
        if not line:
            continue
        event = json.loads(line)
        if "capture.frames" in event:
            out["frames"] = event["capture.frames"]
            out["layers"] = {k[len("capture.layers."):]: v for k, v in event.items() if k.startswith("capture.layers.") and v}
        if event.get("dns.type") and "dns.question.name" in event:
            question = [event["dns.id"], event["dns.question.name"].lower(), number(event.get("dns.question.type"), TYPES)]
            if event["dns.type"] == "query":
                out["dns_queries"].append(question)
            else:
                out["dns_responses"].append(question + [number(event.get("dns.response_code"), CODES)])
        if "http.request.method" in event and "http.response.status_code" not in event and "url.original" in event:
            out["http_requests"].append([event["http.request.method"], event["url.original"], event.get("url.domain", "").lower(),
                                         event.get("user_agent.original", "")])
        if "tls.client.ja4" in event:
            hello = {"client": end(event, "source"), "server": end(event, "destination"), "sni": event.get("tls.client.server_name"),
                     "ja3": event.get("tls.client.ja3"), "ja4": event.get("tls.client.ja4")}
            out["quic_client_hellos" if event.get("network.protocol") == "quic" else "tls_client_hellos"].append(hello)
        for side in ("client", "server"):
            if "ssh.%s.banner" % side in event:
                out["ssh_banners"].append(event["ssh.%s.banner" % side])
    return out


def expectations(entry):
    """Each scored section: name, what is expected, and how a result's items compare."""
    for name, value in entry["expected"].items():
        if name == "http_status":
            continue
        if name == "ssh_banners":
            yield name, collections.Counter(b.split(" ")[0] for q in value["list"] for b in q["banners"]), lambda b: b.split(" ")[0]
        elif "list" in value:
            free = {(h["client"], h["server"]) for h in value["list"] if not h.get("ja4")}
            form = lambda h, free=free: (h["client"], h["server"], h.get("sni") or "", h.get("ja3"),
                                         None if (h["client"], h["server"]) in free else h.get("ja4"))
            yield name, collections.Counter(map(form, value["list"])), form
        else:
            yield name, collections.Counter(map(tuple, value.get("set") or value.get("multiset"))), tuple


def differences(entry, found):
    if entry["frames"] != found["frames"]:
        yield "frames", "%s expected, %s found" % (entry["frames"], found["frames"])
    if entry.get("layers_agree_suricata") and not entry.get("tunnel"):
        for layer in ("ipv4", "ipv6", "tcp", "udp", "arp", "vlan", "ipv4_fragments"):
            a, b = entry["layers"].get(layer, 0), found["layers"].get(layer, 0)
            if a != b:
                yield "layer " + layer, "%d expected, %d found" % (a, b)
    for name, expected, form in expectations(entry):
        got = collections.Counter(map(form, found[name]))
        if "set" in entry["expected"][name]:
            got = collections.Counter(set(got))
        for item, count in (expected - got).items():
            yield name, "missing %s%s" % (item, " (%d times)" % count if count > 1 else "")
        if name not in entry.get("disputed", {}):
            for item, count in (got - expected).items():
                yield name, "too many %s%s" % (item, " (%d times)" % count if count > 1 else "")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--panguard", default=os.path.join(ROOT, ".build/release/panguard"))
    p.add_argument("--results", help="write score.py's input here")
    p.add_argument("--only", default="", help="files whose path contains this")
    a = p.parse_args()
    if not os.path.exists(CAPTURES):
        print("captures: skipped, there is no %s" % CAPTURES)
        return 0
    expected = json.load(open(os.path.join(CAPTURES, "expected.json")))
    entries = expected["conformance"] + expected["attack_real"] + expected["malformed"]
    results = open(a.results, "w") if a.results else tempfile.NamedTemporaryFile("w", suffix=".jsonl")
    found, failures = {}, 0
    for entry in entries:
        if a.only not in entry["file"]:
            continue
        before = os.times()
        try:
            run = subprocess.run([a.panguard, "inspect", "--all", "--format", "jsonl", os.path.join(CAPTURES, entry["file"])],
                                 capture_output=True, timeout=120)
        except subprocess.TimeoutExpired:
            print("%s: does not end" % entry["file"])
            failures += 1
            continue
        after = os.times()
        took = after.children_user + after.children_system - before.children_user - before.children_system
        if run.returncode not in (0, 3) or took > 2:
            print("%s: exit code %d after %.1f CPU s: %s" % (entry["file"], run.returncode, took, run.stderr.decode(errors="replace")[-300:]))
            failures += 1
        found[entry["file"]] = result(entry["file"], run.stdout.decode())
        results.write(json.dumps(found[entry["file"]]) + "\n")
    results.flush()
    for entry in expected["conformance"]:
        if entry["file"] in found:
            for section, text in differences(entry, found[entry["file"]]):
                print("%s: %s: %s" % (entry["file"], section, text))
    if not a.only:
        subprocess.run([sys.executable, os.path.join(SHARED, "tools/score.py"), os.path.join(CAPTURES, "expected.json"), results.name])
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
