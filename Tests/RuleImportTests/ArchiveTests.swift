// Archives, hostile ones first: nothing but bounded reading happens, and everything that is left out is said.
import PanguardTestKit
import Primitives
import RuleImport
import RuleLanguage
import Testing
import TypedYAML

@Suite struct ArchiveTests {
  private func read(_ scratch: Scratch, _ name: String) throws -> RuleBundle {
    let bytes = try #require(scratch.read(name))
    return try RuleBundle.read(bytes, file: name)
  }
  private func problem(_ scratch: Scratch, _ name: String) -> String {
    do {
      let bundle = try RuleBundle.read(try #require(scratch.read(name)), file: name)
      return "read \(bundle.files.count)"
    } catch let error as DocumentFileError { return error.diagnostic.message } catch { return "\(error)" }
  }

  @Test(arguments: ["zip", "tar", "gztar", "xztar", "bztar"]) func allKindsAreRead(_ kind: String) throws {
    let scratch = Scratch()
    scratch.write("in/rules/a.yaml", ruleYAML("ATR-2026-00001"))
    scratch.write("in/rules/deep/b.yml", ruleYAML("ATR-2026-00002"))
    scratch.write("in/LICENSE", "\nMIT License\n\nCopyright")
    scratch.write("in/readme.txt", "no rule")
    guard scratch.python("import shutil; p = shutil.make_archive('set', '\(kind)', 'in'); import os; os.rename(p, 'set.bin')") else { return }
    let bundle = try read(scratch, "set.bin")
    #expect(bundle.kind == .archive)
    #expect(bundle.license == "MIT License")
    let plan = RuleImporter.plan(bundle)
    #expect(plan.files.map(\.name) == ["ATR-2026-00001.yaml", "ATR-2026-00002.yaml"])
    #expect(plan.files[0].bytes == Array(ruleYAML("ATR-2026-00001").utf8))
    #expect(plan.count(.refused) == 0)
  }

  @Test func namesAreOnlyLabels() throws {
    let scratch = Scratch()
    scratch.write("rule.yaml", ruleYAML("ATR-2026-00001"))
    scratch.write("other.yaml", ruleYAML("ATR-2026-00002"))
    guard
      scratch.python(
        """
        import zipfile
        z = zipfile.ZipFile('evil.zip', 'w')
        z.write('rule.yaml', '../../../../tmp/panguard-traversal.yaml')
        z.write('other.yaml', '/etc/panguard-absolute.yaml')
        z.close()
        """)
    else { return }
    let plan = RuleImporter.plan(try read(scratch, "evil.zip"))
    #expect(plan.files.map(\.name) == ["ATR-2026-00001.yaml", "ATR-2026-00002.yaml"])
    let target = try RuleImporter.write(plan, name: "evil", into: "\(scratch.path)/out", replaces: false)
    #expect(target == "\(scratch.path)/out/evil")
    #expect(scratch.names("out/evil") == ["ATR-2026-00001.yaml", "ATR-2026-00002.yaml", "provenance.json"])
    #expect(scratch.read("../panguard-traversal.yaml") == nil)
  }

  @Test func linksAndDevicesAreNotFollowed() throws {
    let scratch = Scratch()
    scratch.write("rule.yaml", ruleYAML("ATR-2026-00001"))
    guard
      scratch.python(
        """
        import tarfile
        t = tarfile.open('links.tar', 'w')
        t.add('rule.yaml')
        for name, kind in [('passwd.yaml', tarfile.SYMTYPE), ('hard.yaml', tarfile.LNKTYPE), ('dev.yaml', tarfile.CHRTYPE), ('fifo.yaml', tarfile.FIFOTYPE)]:
          i = tarfile.TarInfo(name); i.type = kind; i.linkname = '/etc/passwd'; t.addfile(i)
        t.close()
        """)
    else { return }
    let bundle = try read(scratch, "links.tar")
    #expect(bundle.files.map(\.name) == ["links.tar!rule.yaml"])
    // Each is named, and as a rule that was not imported.
    let rows = RuleImporter.plan(bundle).rows.filter { $0.outcome == .refused }
    #expect(rows.map(\.location.file) == ["links.tar!passwd.yaml", "links.tar!hard.yaml", "links.tar!dev.yaml", "links.tar!fifo.yaml"])
    #expect(rows.map { $0.reason.contains("link") } == [true, true, false, false])
  }

  @Test func suffixesInAnyCase() throws {
    let scratch = Scratch()
    scratch.write("in/a.YAML", ruleYAML("ATR-2026-00001"))
    scratch.write("in/b.Yml", ruleYAML("ATR-2026-00002"))
    scratch.write("in/index.JSON", "{}")
    scratch.write("in/more.json", "{}")
    #expect(RuleImporter.plan(try RuleBundle.read("\(scratch.path)/in")).files.count == 2)
    guard scratch.python("import shutil; shutil.make_archive('set', 'zip', 'in')") else { return }
    let plan = RuleImporter.plan(try read(scratch, "set.zip"))
    #expect(plan.files.map(\.name) == ["ATR-2026-00001.yaml", "ATR-2026-00002.yaml"])
    // What is not read is said, once.
    #expect(plan.rows.filter { $0.outcome == .notARule }.map(\.reason) == ["JSON beside YAML rules is not read, nor are 1 more such files"])
  }

  @Test func bombsAreRefusedEarly() {
    let scratch = Scratch()
    guard
      scratch.python(
        """
        import zipfile, tarfile, io, lzma
        z = zipfile.ZipFile('wide.zip', 'w', zipfile.ZIP_DEFLATED)
        for i in range(64): z.writestr(f'{i}.yaml', b' ' * 1048000)
        z.close()
        z = zipfile.ZipFile('one.zip', 'w', zipfile.ZIP_DEFLATED)
        z.writestr('a.json', b' ' * 60000000); z.close()
        t = tarfile.open('skip.tar.xz', 'w:xz')
        i = tarfile.TarInfo('skipped.bin'); i.size = 60000000; t.addfile(i, io.BytesIO(b'\\0' * i.size)); t.close()
        """)
    else { return }
    #expect(problem(scratch, "wide.zip").contains("times its size"))
    #expect(problem(scratch, "one.zip").contains("times its size"))
    #expect(problem(scratch, "skip.tar.xz").contains("times its size"))
  }

  @Test func entriesAreCounted() {
    let scratch = Scratch()
    guard
      scratch.python(
        """
        import zipfile
        z = zipfile.ZipFile('many.zip', 'w')
        for i in range(100000): z.writestr(f'{i}.txt', b'')
        z.close()
        """)
    else { return }
    #expect(problem(scratch, "many.zip") == "the archive has more than \(Limits.archiveEntries) entries")
  }

  @Test func archivesInArchivesStayShut() throws {
    let scratch = Scratch()
    scratch.write("rule.yaml", ruleYAML("ATR-2026-00001"))
    guard
      scratch.python(
        """
        import zipfile
        zipfile.ZipFile('inner.zip', 'w').write('rule.yaml')
        z = zipfile.ZipFile('outer.zip', 'w'); z.write('inner.zip'); z.write('rule.yaml', 'other.yaml'); z.close()
        """)
    else { return }
    let bundle = try read(scratch, "outer.zip")
    #expect(bundle.files.count == 1)
    #expect(bundle.diagnostics.map(\.message) == ["an archive inside an archive is not opened"])
  }

  @Test func wrongChecksumsRefuseTheEntryAndNothingElse() throws {
    let scratch = Scratch()
    scratch.write("a.yaml", ruleYAML("ATR-2026-00001", pattern: "first"))
    scratch.write("b.yaml", ruleYAML("ATR-2026-00002", pattern: "second"))
    guard
      scratch.python(
        """
        import zipfile
        z = zipfile.ZipFile('crc.zip', 'w'); z.write('a.yaml'); z.write('b.yaml'); z.close()
        d = open('crc.zip', 'rb').read().replace(b'first', b'fIrst'); open('crc.zip', 'wb').write(d)
        """)
    else { return }
    let plan = RuleImporter.plan(try read(scratch, "crc.zip"))
    #expect(plan.files.map(\.name) == ["ATR-2026-00002.yaml"])
    #expect(plan.count(.refused) == 1)
    #expect(plan.rows.contains { $0.outcome == .refused && $0.reason.contains("damaged") })
  }

  /// Cut at every place: an error or fewer files, never a trap, never a file that is not whole.
  @Test(arguments: ["zip", "gztar", "tar"]) func truncatedArchivesNeverTrap(_ kind: String) throws {
    let scratch = Scratch()
    for i in 1...3 { scratch.write("in/\(i).yaml", ruleYAML("ATR-2026-0000\(i)")) }
    guard scratch.python("import shutil, os; os.rename(shutil.make_archive('set', '\(kind)', 'in'), 'set.bin')") else { return }
    let whole = try #require(scratch.read("set.bin"))
    let sound = Set((1...3).map { Array(ruleYAML("ATR-2026-0000\($0)").utf8) })
    for end in stride(from: 0, to: whole.count, by: max(1, whole.count / 97)) {
      let cut = Array(whole[..<end])
      guard Archive.isArchive(cut) else { continue }
      if case .success(let entries) = Archive.files(in: cut, file: "cut", wants: { _ in 100_000 }) {
        for entry in entries { if case .bytes(let bytes) = entry.content { #expect(sound.contains(bytes)) } }
      }
    }
  }

  @Test func alteredArchivesNeverTrap() throws {
    let scratch = Scratch()
    for i in 1...3 { scratch.write("in/\(i).yaml", ruleYAML("ATR-2026-0000\(i)")) }
    for kind in ["zip", "gztar", "xztar", "tar"] {
      guard scratch.python("import shutil, os; os.rename(shutil.make_archive('set', '\(kind)', 'in'), 'set.bin')") else { return }
      let whole = try #require(scratch.read("set.bin"))
      var random = SplitMix64(seed: 3)
      for _ in 0..<100 {
        var bytes = whole
        for _ in 0..<(1 + random.below(4)) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
        if let bundle = try? RuleBundle.read(bytes, file: "altered") { _ = RuleImporter.plan(bundle) }
      }
    }
  }
}
