// swift-tools-version: 6.1
// Panguard: one package, small executables. Arrows between targets point down this list only.
import PackageDescription

/// Hot paths cross module borders (Primitives -> Events -> LogParsers -> RuleEngine); without this each call there is opaque.
let optimized: [SwiftSetting] = [
  .unsafeFlags(["-cross-module-optimization", "-enforce-exclusivity=unchecked"], .when(configuration: .release))
]

func systemLibrary(_ name: String, _ pkgConfig: String, _ package: String) -> Target {
  .systemLibrary(name: name, path: "Sources/\(name)", pkgConfig: pkgConfig, providers: [.apt([package])])
}

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, path: "Sources/\(name)", swiftSettings: optimized)
}

func tests(of name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .testTarget(name: "\(name)Tests", dependencies: [.byName(name: name)] + dependencies, path: "Tests/\(name)Tests")
}

let package = Package(
  name: "panguard",
  products: [],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
    .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
  ],
  targets: [
    .target(name: "CLinux", path: "Sources/CLinux"),
    systemLibrary("CHyperscan", "libhs", "libvectorscan-dev"),
    systemLibrary("CPCRE2", "libpcre2-8", "libpcre2-dev"),
    systemLibrary("CSystemd", "libsystemd", "libsystemd-dev"),
    systemLibrary("CZlib", "zlib", "zlib1g-dev"),
    systemLibrary("CLZMA", "liblzma", "liblzma-dev"),
    systemLibrary("COpenSSL", "libcrypto", "libssl-dev"),

    library("Primitives", ["CLinux"]),
    library("Events", ["Primitives"]),

    library("LogParsers", ["Primitives", "Events"]),
    library("RuleLanguage", ["Primitives", "Events"]),

    tests(of: "Primitives"),
    tests(of: "Events"),
    tests(of: "LogParsers", ["Primitives", "Events"]),
  ],
  swiftLanguageModes: [.v6]
)
