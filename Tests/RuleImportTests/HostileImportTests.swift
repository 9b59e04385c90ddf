// Sources that mean to lose a rule or to pass off a changed one: names that look alike, links, cut archives, pinned sets looked at from
// the side. Whatever is not read has its row, and what has changed is used by no command.
import AgentRuntime
import Foundation
import Primitives
import RuleLanguage
import Testing
import TypedYAML

@testable import RuleImport

@Suite struct HostileImportTests {
  private func plan(_ scratch: Scratch, _ name: String) throws -> RuleImportPlan {
    RuleImporter.plan(try RuleBundle.read(try #require(scratch.read(name)), file: name))
  }
  private func text(_ scratch: Scratch, _ name: String) -> String { String(decoding: scratch.read(name) ?? [], as: UTF8.self) }

  /// As a forge packs a repository: all files below one directory, whose name is most of what a message shows.
  @Test func longNamesAreNotOneName() throws {
    let scratch = Scratch()
    let folder = "in/agent-threat-rules-main-0123456789abcdef/rules/prompt-injection-and-more"
    for i in 1...9 { scratch.write("\(folder)/rule-\(i).yaml", ruleYAML("ATR-2026-0000\(i)", pattern: "pattern \(i)")) }
    guard scratch.python("import shutil; shutil.make_archive('set', 'gztar', 'in')") else { return }
    let plan = try plan(scratch, "set.tar.gz")
    #expect(plan.count(.imported) == 9)
    #expect(plan.files.map(\.name) == (1...9).map { "ATR-2026-0000\($0).yaml" })
    for (i, file) in plan.files.enumerated() {
      #expect(String(decoding: file.bytes, as: UTF8.self).contains("pattern \(i + 1)"), "\(file.name)")
    }
  }

  @Test(arguments: ["tar", "zip"]) func entriesOfOneNameAreAllRead(_ kind: String) throws {
    let scratch = Scratch()
    for i in 1...2 { scratch.write("\(i)", ruleYAML("ATR-2026-0000\(i)", pattern: "pattern \(i)")) }
    guard
      scratch.python(
        """
        import tarfile, zipfile, warnings
        warnings.simplefilter('ignore')
        if '\(kind)' == 'tar':
          t = tarfile.open('set.bin', 'w')
          for n in '121': t.add(n, 'a.yaml')
          t.close()
        else:
          z = zipfile.ZipFile('set.bin', 'w')
          for n in '121': z.write(n, 'a.yaml')
          z.close()
        """)
    else { return }
    let plan = try plan(scratch, "set.bin")
    #expect(plan.rows.map(\.outcome) == [.imported, .imported, .refused])
    #expect(plan.rows[2].reason.contains("is taken"))
    #expect(plan.rows[2].location.file.hasSuffix("#3"))
    #expect(plan.files.map(\.name) == ["ATR-2026-00001.yaml", "ATR-2026-00002.yaml"])
    for (i, file) in plan.files.enumerated() { #expect(String(decoding: file.bytes, as: UTF8.self).contains("pattern \(i + 1)")) }
  }

  /// Whoever makes two files of one name: the second is refused, not written over the first.
  @Test func oneDocumentAnswersForOneRule() throws {
    let files = [
      RuleFile(name: "a", bytes: Array(ruleYAML("ATR-2026-00001").utf8)), RuleFile(name: "a", bytes: Array(ruleYAML("ATR-2026-00002").utf8)),
    ]
    let plan = RuleImporter.plan(RuleBundle(kind: .yaml, name: "x", sha256: "", files: files))
    #expect(Set(plan.files.map(\.name)).count == plan.files.count)
    #expect(plan.count(.imported) == plan.files.count)
    let hidden = RuleImporter.plan(
      RuleBundle(
        kind: .yaml, name: "x", sha256: "",
        files: [
          RuleFile(name: "a", bytes: Array(ruleYAML(".x").utf8)), RuleFile(name: "b", bytes: Array(ruleYAML("_.x").utf8)),
        ]))
    #expect(hidden.rows.map(\.outcome).filter { $0 == .imported }.count == hidden.files.count)
    #expect(Set(hidden.files.map(\.name)).count == hidden.files.count)
  }

  @Test func whatIsNoFileHasItsRow() throws {
    let scratch = Scratch()
    scratch.write("rule.yaml", ruleYAML("ATR-2026-00001"))
    guard
      scratch.python(
        """
        import tarfile
        t = tarfile.open('links.tar', 'w')
        t.add('rule.yaml')
        kinds = [('s.yaml', tarfile.SYMTYPE), ('h.yaml', tarfile.LNKTYPE), ('d.yaml', tarfile.CHRTYPE), ('b.yaml', tarfile.BLKTYPE), ('f.yaml', tarfile.FIFOTYPE),
          ('dir.yaml', tarfile.DIRTYPE), ('link.txt', tarfile.SYMTYPE), ('.yaml', tarfile.REGTYPE), ('x/._rule.yaml', tarfile.REGTYPE)]
        for name, kind in kinds:
          i = tarfile.TarInfo(name); i.type = kind; i.linkname = 'rule.yaml'; t.addfile(i)
        t.close()
        """)
    else { return }
    let plan = try plan(scratch, "links.tar")
    #expect(plan.files.count == 1)
    let refused = plan.rows.filter { $0.outcome == .refused }.map { "\($0.location.file) \($0.reason)" }
    #expect(
      refused == [
        "links.tar!s.yaml a link, which is not followed", "links.tar!h.yaml a link, which is not followed", "links.tar!d.yaml no regular file",
        "links.tar!b.yaml no regular file", "links.tar!f.yaml no regular file",
      ])
    let notes = plan.rows.filter { $0.outcome == .notARule }.map(\.location.file)
    #expect(notes == ["links.tar!link.txt", "links.tar!.yaml", "links.tar!x/._rule.yaml"])
  }

  /// Read from its beginning a zip shows what it was made of, not what it is: without its directory it is cut.
  @Test func aZipWithoutItsDirectoryIsRefused() throws {
    let scratch = Scratch()
    for i in 1...3 { scratch.write("in/\(i).yaml", ruleYAML("ATR-2026-0000\(i)")) }
    guard scratch.python("import shutil; shutil.make_archive('set', 'zip', 'in')") else { return }
    let whole = try #require(scratch.read("set.zip"))
    let start = try #require(whole.indices.dropLast(4).first { whole[$0..<($0 + 4)].elementsEqual([0x50, 0x4b, 1, 2]) })
    do {
      let bundle = try RuleBundle.read(Array(whole[..<start]), file: "cut.zip")
      Issue.record("read \(bundle.files.count)")
    } catch { #expect(error.diagnostic.message.contains("cut short")) }
    #expect(try RuleBundle.read(whole, file: "set.zip").files.count == 3)
  }

  @Test func namesOfEntriesCount() throws {
    let scratch = Scratch()
    guard
      scratch.python(
        """
        import tarfile
        t = tarfile.open('names.tar.xz', 'w:xz', format=tarfile.PAX_FORMAT)
        for n in range(3000): t.addfile(tarfile.TarInfo('x' * 20000 + str(n) + '.yaml'))
        t.close()
        """)
    else { return }
    do {
      let bundle = try RuleBundle.read(try #require(scratch.read("names.tar.xz")), file: "names")
      Issue.record("read \(bundle.files.count)")
    } catch let error as DocumentFileError { #expect(error.diagnostic.message.contains("times its size")) }
  }

  @Test func byteOrderMarksAndOtherEncodings() throws {
    let json =
      #"[{"id":"ATR-2026-00001","title":"T","severity":"low","detection":{"conditions":[{"field":"content","operator":"contains","#
      + #""value":"x"}],"condition":"any"}}]"#
    let marked = RuleImporter.plan(try RuleBundle.read([0xef, 0xbb, 0xbf] + Array(json.utf8), file: "b.json"))
    #expect(marked.count(.imported) == 1)
    let wide = json.utf16.flatMap { [UInt8($0 & 0xff), UInt8($0 >> 8)] }
    do {
      _ = try RuleBundle.read([0xff, 0xfe] + wide, file: "b.json")
      Issue.record("read")
    } catch { #expect(error.diagnostic.message.contains("UTF-16")) }
  }

  // MARK: Pinned sets from the side

  private func pinned(_ scratch: Scratch, _ name: String, count: Int = 2) throws -> String {
    let text = (1...count).map { ruleYAML("ATR-2026-0000\($0)") }.joined(separator: "---\n")
    let plan = RuleImporter.plan(try RuleBundle.read(Array(text.utf8), file: "in.yaml"))
    return try RuleImporter.write(plan, name: name, into: "\(scratch.path)/rules", replaces: false)
  }
  private func ids(_ paths: String...) -> [String] { RuleStore.load(paths: paths).set.rules.map(\.id) }

  @Test(arguments: ["set.yaml", "set.yml"]) func aSetNamedLikeAFileIsChecked(_ name: String) throws {
    let scratch = Scratch()
    _ = try pinned(scratch, name)
    scratch.write("rules/\(name)/ATR-2026-00001.yaml", ruleYAML("ATR-2026-00001", severity: "low"))
    #expect(ids("\(scratch.path)/rules") == ["ATR-2026-00002"])
    #expect(!RuleImporter.isSetName(name))
    let bundle = RuleBundle(kind: .wheel, name: "rules", version: "1.yaml", sha256: "")
    #expect(RuleImporter.isSetName(RuleImporter.setName(of: bundle)))
  }

  @Test func aFileOfASetIsCheckedHoweverItIsNamed() throws {
    let scratch = Scratch()
    let set = try pinned(scratch, "set")
    scratch.write("rules/set/ATR-2026-00001.yaml", ruleYAML("ATR-2026-00001", severity: "low"))
    scratch.write("rules/set/more/added.yaml", ruleYAML("ATR-2026-00007"))
    scratch.write("rules/set/added.yaml", ruleYAML("ATR-2026-00008"))
    try FileManager.default.createSymbolicLink(atPath: "\(scratch.path)/link.yaml", withDestinationPath: "\(set)/ATR-2026-00001.yaml")
    try FileManager.default.createSymbolicLink(atPath: "\(scratch.path)/folder", withDestinationPath: "\(set)/more")
    for path in [
      "\(set)/ATR-2026-00001.yaml", "\(set)/./ATR-2026-00001.yaml", "\(set)/more/../ATR-2026-00001.yaml", "\(set)/added.yaml",
      "\(set)/more", "\(set)/more/", "\(set)/more/added.yaml", "\(scratch.path)/link.yaml", "\(scratch.path)/folder",
      "\(scratch.path)/folder/added.yaml",
    ] {
      let loaded = RuleStore.load(paths: [path])
      #expect(loaded.set.rules.isEmpty, "\(path)")
      #expect(loaded.set.diagnostics.contains { $0.severity == .error && $0.message.contains("imported") }, "\(path)")
    }
    // A sound file of the set, and one beside it, are as good as they were; and of the rest nothing is said.
    let sound = RuleStore.load(paths: ["\(set)/ATR-2026-00002.yaml"])
    #expect(sound.set.rules.map(\.id) == ["ATR-2026-00002"])
    #expect(sound.set.refusedCount == 0)
    scratch.write("rules/own.yaml", ruleYAML("ATR-2026-00009"))
    #expect(ids("\(scratch.path)/rules/own.yaml") == ["ATR-2026-00009"])
    scratch.write("rules/set/provenance.json", "{}")
    #expect(ids("\(set)/ATR-2026-00002.yaml").isEmpty)
  }

  @Test func aChangedSetIsNotLaundered() throws {
    let scratch = Scratch()
    let set = try pinned(scratch, "set", count: 3)
    scratch.write("rules/set/ATR-2026-00001.yaml", ruleYAML("ATR-2026-00001", severity: "low"))
    scratch.write("rules/set/added.yaml", ruleYAML("ATR-2026-00008"))
    for path in [set, "\(scratch.path)/rules", "\(set)/"] {
      let plan = RuleImporter.plan(try RuleBundle.read(path))
      #expect(plan.files.map(\.name) == ["ATR-2026-00002.yaml", "ATR-2026-00003.yaml"], "\(path)")
      #expect(plan.count(.refused) == 2, "\(path)")
    }
    #expect(throws: DocumentFileError.self) { try RuleBundle.read("\(set)/ATR-2026-00001.yaml") }
    #expect(try RuleBundle.read("\(set)/ATR-2026-00002.yaml").files.count == 1)
  }

  /// To the kernel a slash is a slash; to Unicode it is one character with an accent behind it, and two spellings are one name.
  @Test(arguments: ["\u{301}ATR-2026-00001.yaml", "ATR-2026-00001.yaml\u{301}/a.yaml", "\u{212a}.yaml"]) func foreignNamesOfUnicode(_ name: String)
    throws
  {
    let scratch = Scratch()
    let text = ruleYAML("ATR-2026-00001") + "---\n" + ruleYAML("K", severity: "low")
    let plan = RuleImporter.plan(try RuleBundle.read(Array(text.utf8), file: "in.yaml"))
    let set = try RuleImporter.write(plan, name: "set", into: "\(scratch.path)/rules", replaces: false)
    if name.utf8.contains(0x2f) { #expect(mkdir("\(set)/\(name.directoryPath)", 0o755) == 0) }
    let file = try #require(fopen("\(set)/\(name)", "w"))
    fputs(ruleYAML("ATR-2026-00666"), file)
    fclose(file)
    let own = ["ATR-2026-00001", "K"]
    for path in ["\(scratch.path)/rules", set, "\(set)/", "\(set)//"] {
      let loaded = RuleStore.load(paths: [path])
      #expect(loaded.set.rules.map(\.id) == own, "\(path)")
      #expect(loaded.set.diagnostics.contains { $0.location.file.utf8.elementsEqual("\(set)/\(name)".utf8) }, "\(path)")
      #expect(RuleImporter.plan(try RuleBundle.read(path)).files.map(\.name) == own.map { "\($0).yaml" }, "\(path)")
    }
    #expect(ids("\(set)/\(name)").isEmpty)
    #expect(throws: DocumentFileError.self) { try RuleBundle.read("\(set)/\(name)") }
  }

  @Test func slashesAtTheEndSayNothing() throws {
    let scratch = Scratch()
    let set = try pinned(scratch, "set")
    scratch.write("rules/set/foreign.yaml", ruleYAML("ATR-2026-00008"))
    for path in ["\(set)//", "\(set)///"] {
      let loaded = RuleStore.load(paths: [path])
      #expect(loaded.set.rules.map(\.id) == ["ATR-2026-00001", "ATR-2026-00002"])
      #expect(loaded.set.diagnostics.map(\.location.file) == ["\(set)/foreign.yaml"])
    }
    // The set itself is not another that has its rules.
    let plan = RuleImporter.plan(try RuleBundle.read(Array(ruleYAML("ATR-2026-00001").utf8), file: "in.yaml"))
    for directory in ["\(scratch.path)/rules", "\(scratch.path)/rules/", "\(scratch.path)/rules//"] {
      #expect(RuleImporter.refuseTaken(plan, in: directory, besides: "set").count(.refused) == 0, "\(directory)")
      #expect(RuleImporter.refuseTaken(plan, in: directory, besides: "other").count(.refused) == 1, "\(directory)")
    }
  }

  /// Each document keeps its place, and costs what it has, not what stands before it.
  @Test func manyDocumentsOfManyLines() throws {
    let rule = ruleYAML("ATR-2026-0000X")
    let count = 2000
    let parts = (0..<count).map { String(repeating: "\n", count: 100) + rule.replacing("0000X", with: "1\(10000 + $0)") }
    let plan = RuleImporter.plan(try RuleBundle.read(Array(parts.joined(separator: "---\n").utf8), file: "in.yaml"))
    #expect(plan.count(.imported) == count)
    let lines = 100 + rule.split(separator: "\n").count + 1
    #expect(plan.rows.last?.location.line == (count - 1) * lines + 101)
    let broken = parts[0] + "---\n\n" + rule.replacing("severity: high", with: "severity: most")
    let refused = RuleImporter.plan(try RuleBundle.read(Array(broken.utf8), file: "in.yaml")).rows.first { $0.outcome == .refused }
    #expect(refused?.location.line == lines + 5, "\(String(describing: refused))")
  }

  @Test func manyRulesAreWrittenTogether() throws {
    let scratch = Scratch()
    let text = (10000..<12000).map { ruleYAML("ATR-2026-\($0)") }.joined(separator: "---\n")
    let plan = RuleImporter.plan(try RuleBundle.read(Array(text.utf8), file: "in.yaml"))
    let target = try RuleImporter.write(plan, name: "set", into: scratch.path, replaces: false)
    #expect(scratch.names("set").count == 2001)
    #expect(scratch.names() == ["set"])
    let mode = try FileManager.default.attributesOfItem(atPath: "\(target)/ATR-2026-10000.yaml")[.posixPermissions] as? Int
    #expect(mode == 0o644)
    #expect(RuleStore.load(paths: [target]).set.refusedCount == 0)
  }
}
