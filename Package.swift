// swift-tools-version: 6.1
// Panguard: one package, small executables. Arrows between targets point down this list only.
import PackageDescription

/// `scripts/fuzz` builds the same modules with libFuzzer's instrumentation, into a folder of their own. First, because a manifest
/// runs from top to bottom: read before this line it would be false.
let isFuzzing = Context.environment["PANGUARD_FUZZ"] != nil

/// Hot paths cross module borders (Primitives -> Events -> LogParsers -> RuleEngine); without this each call there is opaque.
let optimized: [SwiftSetting] =
  isFuzzing
  ? [.unsafeFlags(["-sanitize=fuzzer,address", "-enable-testing"])]
  : [.unsafeFlags(["-cross-module-optimization", "-enforce-exclusivity=unchecked"], .when(configuration: .release))]

func systemLibrary(_ name: String, _ pkgConfig: String, _ package: String) -> Target {
  .systemLibrary(name: name, path: "Sources/\(name)", pkgConfig: pkgConfig, providers: [.apt([package])])
}

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, path: "Sources/\(name)", swiftSettings: optimized)
}

/// `data`: folders of files that the tests read by path.
func tests(of name: String, _ dependencies: [Target.Dependency] = [], data: [String] = []) -> Target {
  .testTarget(name: "\(name)Tests", dependencies: [.byName(name: name)] + dependencies, path: "Tests/\(name)Tests", exclude: data)
}

let package = Package(
  name: "panguard",
  products: [],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
  ],
  targets: [
    .target(name: "CLinux", path: "Sources/CLinux"),
    .target(name: "CNoLocaleData", path: "Sources/CNoLocaleData"),
    // Without pkg-config: its flags hold a macro that only concerns building the library, and that the package manager warns of.
    .systemLibrary(name: "CUtf8proc", path: "Sources/CUtf8proc", providers: [.apt(["libutf8proc-dev"])]),
    // Without pkg-config: its flags name the libraries that libpsl itself uses.
    .systemLibrary(name: "CPSL", path: "Sources/CPSL", providers: [.apt(["libpsl-dev"])]),
    systemLibrary("CPCRE2", "libpcre2-8", "libpcre2-dev"),
    systemLibrary("CSystemd", "libsystemd", "libsystemd-dev"),
    systemLibrary("CZlib", "zlib", "zlib1g-dev"),
    systemLibrary("CLZMA", "liblzma", "liblzma-dev"),
    systemLibrary("COpenSSL", "libcrypto", "libssl-dev"),
    systemLibrary("CLibYAML", "yaml-0.1", "libyaml-dev"),
    systemLibrary("CSeccomp", "libseccomp", "libseccomp-dev"),
    // Without pkg-config: what it says is where every compiler looks anyway.
    .systemLibrary(name: "CCurl", path: "Sources/CCurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    // Without pkg-config: its flags name the headers of libraries that libpcap itself uses.
    .systemLibrary(name: "CPcap", path: "Sources/CPcap", providers: [.apt(["libpcap-dev"])]),
    // Headers only: the library is loaded when an archive is opened, because the agent is the same program and needs none of it.
    .systemLibrary(name: "CArchive", path: "Sources/CArchive", providers: [.apt(["libarchive-dev"])]),

    library("Primitives", ["CLinux"]),
    library("Confinement", ["CLinux", "CSeccomp"]),
    library("RegularExpressions", ["Primitives"]),
    library("Events", ["Primitives"]),
    library("LogParsers", ["Primitives", "Events"]),
    // OpenSSL for digests (JA3, JA4, HASSH, community id) and for what QUIC seals under published keys.
    library("PacketParsers", ["Primitives", "Events", "COpenSSL", "CPSL"]),
    library("PacketSources", ["Primitives"]),
    library("NetworkEvents", ["Primitives", "Events", "PacketParsers"]),
    library("TypedYAML", ["Primitives", "CLibYAML"]),
    library("RuleLanguage", ["Primitives", "RegularExpressions", "Events", "TypedYAML", "CPCRE2"]),
    library("RuleEngine", ["CLinux", "Primitives", "RegularExpressions", "Events", "RuleLanguage", "CUtf8proc", "CPCRE2", "COpenSSL"]),
    library(
      "RuleLinting", ["Primitives", "RegularExpressions", "Events", "LogParsers", "TypedYAML", "RuleLanguage", "RuleEngine", "CPCRE2"]),
    library("Scoring", ["Primitives", "TypedYAML"]),
    library("NetworkDetection", ["Primitives", "Events"]),
    library("Baseline", ["Primitives", "Events"]),
    library("Detection", ["Primitives", "Events", "RuleLanguage", "RuleEngine", "Scoring", "NetworkDetection", "Baseline"]),
    library("Playbooks", ["Primitives", "Events", "TypedYAML", "RuleLanguage", "Scoring", "Detection"]),
    library("Export", ["Primitives", "Events", "RuleLanguage", "Scoring", "Baseline", "Detection"]),
    library("LogSources", ["Primitives", "Events", "CLinux", "CSystemd", "CZlib", "CLZMA"]),
    library(
      "Storage",
      [
        "Primitives", "Events", "RuleLanguage", "Scoring", "Detection", "Export", "CNoLocaleData",
        .product(name: "GRDB", package: "GRDB.swift"), .product(name: "GRDBSQLite", package: "GRDB.swift"),
      ]),
    library("SyslogOutput", ["Primitives", "CLinux"]),
    // The kernel's own headers; nothing is linked.
    .systemLibrary(name: "CNetlink", path: "Sources/CNetlink"),
    library("Supervision", ["Primitives", "CLinux"]),
    library("FrameProtocol", ["Primitives", "CLinux"]),
    library("Enforcement", ["Primitives", "FrameProtocol"]),
    library("CaptureChannel", ["Primitives", "Events"]),
    library("InputJournal", ["Primitives", "Events", "LogParsers", "CZlib"]),
    library("EnforcerRuntime", ["Primitives", "TypedYAML", "Enforcement", "FrameProtocol", "Supervision", "Confinement", "CLinux", "CNetlink"]),
    library("HostActions", ["Primitives", "FrameProtocol"]),
    library("UplinkProtocol", ["Primitives", "FrameProtocol"]),
    library(
      "AgentRuntime",
      [
        "Primitives", "Events", "LogParsers", "TypedYAML", "RuleLanguage", "RuleEngine", "Scoring", "Baseline", "NetworkDetection", "Detection",
        "Playbooks", "Export", "LogSources", "Storage", "SyslogOutput", "FrameProtocol", "Enforcement", "HostActions", "UplinkProtocol",
        "CaptureChannel", "InputJournal", "CLinux", "COpenSSL",
      ]),
    library("FrameService", ["Primitives", "FrameProtocol", "CLinux"]),
    library(
      "ResponderRuntime",
      ["Primitives", "TypedYAML", "FrameProtocol", "Supervision", "FrameService", "HostActions", "Confinement", "CLinux", "COpenSSL"]),
    library(
      "Uplink",
      ["Primitives", "TypedYAML", "FrameProtocol", "FrameService", "UplinkProtocol", "Supervision", "Confinement", "CLinux", "CCurl", "COpenSSL"]),
    library(
      "PacketCapture",
      [
        "Primitives", "Events", "TypedYAML", "PacketParsers", "PacketSources", "NetworkEvents", "CaptureChannel", "HostActions", "Supervision",
        "Confinement", "CLinux", "CNetlink", "CPcap",
      ]),
    library(
      "CaptureReplay",
      ["Primitives", "Events", "PacketParsers", "PacketSources", "NetworkEvents", "CaptureChannel", "LogSources", "AgentRuntime"]),
    library("RuleConversion", ["Primitives", "Events", "TypedYAML", "RuleLanguage"]),
    library("RuleImport", ["Primitives", "TypedYAML", "RuleLanguage", "AgentRuntime", "CArchive"]),
    library(
      "EngineCommand",
      [
        "AgentRuntime", "HostActions", "Confinement", "Supervision", "RuleImport", "RuleLanguage", "TypedYAML", "Playbooks", "Export", "Storage",
        "Primitives",
        "CLinux", "CSystemd",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(
      name: "panguardd",
      dependencies: ["EngineCommand", .product(name: "ArgumentParser", package: "swift-argument-parser")], path: "Sources/panguardd",
      swiftSettings: optimized),
    .executableTarget(
      name: "panguard",
      dependencies: [
        "EngineCommand", "Supervision", "AgentRuntime", "Primitives", "Events", "LogParsers", "RuleLanguage", "RuleEngine", "RuleLinting",
        "InputJournal", "RuleImport", "RuleConversion", "Detection", "Playbooks", "Enforcement", "Export", "CaptureChannel", "CaptureReplay",
        "LogSources", "PacketParsers", "PacketSources", "HostActions", "Baseline", "Scoring", "Storage", "TypedYAML", "CLinux",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Sources/panguard", swiftSettings: optimized),

    .executableTarget(
      name: "panguard-enforcer", dependencies: ["EnforcerRuntime"], path: "Sources/panguard-enforcer", swiftSettings: optimized),
    .executableTarget(
      name: "panguard-responder", dependencies: ["ResponderRuntime"], path: "Sources/panguard-responder", swiftSettings: optimized),

    .executableTarget(name: "panguard-uplink", dependencies: ["Uplink"], path: "Sources/panguard-uplink", swiftSettings: optimized),
    .executableTarget(
      name: "panguard-capture", dependencies: ["PacketCapture"], path: "Sources/panguard-capture", swiftSettings: optimized),

    tests(of: "Primitives"),
    tests(of: "RegularExpressions", ["Primitives", "CPCRE2"]),
    // Not installed: Tests/Differential/regular_expressions.py asks it what the package makes of a pattern.
    .executableTarget(
      name: "regular-expressions-outline", dependencies: ["Primitives", "RegularExpressions"], path: "Tests/Differential/Outline"),
    tests(of: "Events"),
    tests(of: "LogParsers", ["PanguardTestKit", "Primitives", "Events"]),
    // What tests make: frames, handshakes, whole captures. Not installed.
    .target(name: "PanguardTestKit", dependencies: ["Primitives", "PacketParsers", "PacketSources"], path: "Tests/PanguardTestKit"),
    tests(of: "PacketParsers", ["Primitives", "Events", "COpenSSL", "CPSL", "PacketSources", "PanguardTestKit"]),
    tests(of: "PacketSources", ["PanguardTestKit", "Primitives"]),
    tests(of: "NetworkEvents", ["Primitives"]),
    tests(of: "TypedYAML", ["PanguardTestKit", "Primitives"]),
    tests(of: "RuleLanguage", ["PanguardTestKit", "Primitives", "Events"]),
    tests(of: "RuleEngine", ["Primitives", "RegularExpressions", "Events", "RuleLanguage", "CPCRE2"]),
    tests(of: "RuleLinting", ["Primitives", "RuleLanguage"]),
    tests(of: "Scoring", ["PanguardTestKit", "Primitives", "TypedYAML"]),
    tests(of: "NetworkDetection", ["PanguardTestKit", "Primitives", "Events"]),
    tests(of: "Baseline", ["PanguardTestKit", "Primitives", "Events"]),
    tests(of: "Detection", ["Primitives", "Events", "RuleLanguage", "RuleEngine", "Scoring", "NetworkDetection", "Baseline"]),
    tests(of: "Playbooks", ["Primitives", "Events", "RuleLanguage", "Scoring", "Detection", "AgentRuntime", "PanguardTestKit"]),
    tests(of: "Export", ["PanguardTestKit"], data: ["Golden"]),
    tests(of: "LogSources", ["Primitives", "Events", "CLinux", "CZlib"]),
    tests(of: "Storage", ["PanguardTestKit", "Export", "Detection", "Scoring", "RuleLanguage", "Events", "Primitives"], data: ["Fixtures"]),
    tests(of: "SyslogOutput", ["Export"]),
    tests(of: "Confinement", ["CLinux"]),
    tests(of: "Supervision", ["Primitives", "CLinux"]),
    tests(of: "EngineCommand", ["AgentRuntime", "Confinement"]),
    tests(
      of: "AgentRuntime",
      [
        "Primitives", "Events", "Detection", "Export", "LogParsers", "Scoring", "Storage", "TypedYAML", "RuleLanguage", "RuleEngine", "RuleLinting",
      ], data: ["Fixtures"]),
    tests(of: "Enforcement", ["PanguardTestKit", "FrameProtocol", "Primitives"]),
    tests(of: "EnforcerRuntime", ["PanguardTestKit", "Enforcement", "Primitives", "CLinux", "CNetlink", "panguard-enforcer"]),
    tests(of: "HostActions", ["FrameProtocol", "Primitives"]),
    tests(
      of: "ResponderRuntime",
      [
        "HostActions", "Enforcement", "Confinement", "PacketSources", "PanguardTestKit", "Primitives", "CLinux", "panguard-responder",
        "panguard-capture",
      ]),
    tests(of: "UplinkProtocol", ["FrameProtocol", "Primitives"]),
    tests(of: "Uplink", ["UplinkProtocol", "Primitives", "CCurl", "CLinux", "panguard-uplink"], data: ["Receiver"]),
    tests(of: "CaptureChannel", ["Events", "Primitives"]),
    tests(of: "InputJournal", ["PanguardTestKit", "Primitives", "Events", "LogParsers"]),
    tests(
      of: "PacketCapture",
      [
        "CaptureChannel", "PacketParsers", "PacketSources", "HostActions", "Events", "PanguardTestKit", "Primitives", "CLinux", "CPcap",
        "panguard-capture",
      ]),
    tests(of: "RuleConversion", ["Primitives", "TypedYAML", "RuleLanguage", "AgentRuntime"]),
    tests(of: "RuleImport", ["PanguardTestKit", "Primitives", "TypedYAML", "RuleLanguage", "AgentRuntime"]),
    .testTarget(
      name: "ShippedRulesTests",
      dependencies: [
        "AgentRuntime", "CaptureReplay", "Detection", "Events", "Export", "InputJournal", "LogParsers", "PacketParsers", "PacketSources",
        "PanguardTestKit", "Primitives", "RuleEngine", "RuleLanguage", "RuleLinting", "Scoring", "TypedYAML",
      ],
      path: "Tests/ShippedRulesTests"),
    .testTarget(
      name: "EndToEndTests",
      dependencies: [
        "panguard", "panguardd", "panguard-enforcer", "panguard-responder", "panguard-uplink", "panguard-capture", "regular-expressions-outline",
        "AgentRuntime", "CLinux", "CaptureChannel", "Detection", "Events", "Export", "PanguardTestKit", "Primitives", "Scoring", "Storage",
      ],
      path: "Tests/EndToEndTests"),
  ],
  swiftLanguageModes: [.v6]
)

if isFuzzing {
  package.targets.append(
    .executableTarget(
      name: "fuzz",
      dependencies: [
        "Primitives", "Events", "LogParsers", "RegularExpressions", "RuleLanguage", "RuleEngine", "Playbooks", "TypedYAML", "CPCRE2", "Enforcement",
        "HostActions", "UplinkProtocol", "PacketParsers", "PacketSources", "CaptureChannel", "InputJournal", "Baseline",
      ],
      path: "Tests/Fuzz", swiftSettings: optimized + [.unsafeFlags(["-parse-as-library"])],
      linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]))
}
