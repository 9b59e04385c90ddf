// libFuzzer entry: one input is a log, its lines go through parser and tracker. Built apart from the package, as
// one module of all sources (clang and swiftc of the toolchain, from the root of the repository):
//
//   mkdir -p .build/fuzz && clang -O1 -g -c Sources/CLinux/CLinux.c -I Sources/CLinux/include -o .build/fuzz/CLinux.o
//   printf 'module CLinux { header "%s/Sources/CLinux/include/CLinux.h" export * }\n' "$PWD" > .build/fuzz/module.modulemap
//   mkdir -p .build/fuzz/src && for f in Sources/Primitives/*.swift Sources/Events/*.swift Sources/LogParsers/*.swift Tests/Fuzz/LogParserFuzz.swift; do
//     sed -E '/^import (Primitives|Events|LogParsers)$/d' "$f" > ".build/fuzz/src/$(echo "$f" | tr / _)"; done
//   swiftc -O -swift-version 6 -sanitize=fuzzer,address -parse-as-library -module-name Fuzz -I .build/fuzz .build/fuzz/src/*.swift .build/fuzz/CLinux.o -use-ld=lld -o .build/fuzz/log-parser
//   .build/fuzz/log-parser -max_len=4096 -max_total_time=60
//
// The first line of the input chooses the format by its first byte; the rest are lines.
import Events
import LogParsers
import Primitives

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzLogParser(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let input = Bytes(start: start, count: count)
  guard input.count > 0 else { return 0 }
  let formats = LogFormat.allCases
  let format = formats[Int(input[0]) % (formats.count * 2) % formats.count]
  var parser = LogParser(
    format: format, inputTime: EventTime(seconds: 1_780_000_000), program: Int(input[0]) >= formats.count * 16 ? "sshd" : nil)
  var tracker = SessionTracker()
  var event = Event()
  var derived = Event()
  var at = 1
  while at < input.count {
    let end = input.index(of: 0x0a, from: at) ?? input.count
    let line = input.slice(at, end)
    _ = parser.parse(line, origin: EventOrigin(source: 0, offset: UInt64(at), length: UInt32(line.count)), into: &event)
    precondition(event.has(.message))
    precondition(!(event.has(.isAmbiguous) && event.has(.sourceIP)))
    while tracker.nextExpired(asOf: event.time, into: &derived) {}
    tracker.observe(&event)
    at = end + 1
  }
  return 0
}
