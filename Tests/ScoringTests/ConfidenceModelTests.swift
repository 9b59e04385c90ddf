import Primitives
import Scoring
import Testing

private func signal(_ name: String, _ family: String, _ weight: Int32) -> Signal {
  Signal(name: name, family: family, weight: MilliNats(weight), isAttested: false, detail: "")
}

@Suite struct ConfidenceModelTests {
  @Test func aRuleAloneYieldsItsOwnConfidence() {
    for k in 1...999 {
      let stated = Confidence(thousandths: k)
      #expect(ConfidenceModel().score([signal("r", "f", ConfidenceModel().weight(of: stated).value)]).confidence == stated)
    }
  }

  @Test func nothingSaidIsThePrior() {
    #expect(ConfidenceModel().score([]).confidence.description == "0.100")
  }

  /// The worked example of docs/confidence.md.
  @Test func withinAFamilyTheRestCountsAQuarter() {
    let (confidence, terms) = ConfidenceModel().score([
      signal("a", "x", 2000), signal("b", "x", 3000), signal("c", "y", 1000), signal("d", "x", -400),
    ])
    #expect(terms.map(\.signal.name) == ["prior", "b", "a", "d", "c"])
    #expect(terms.map(\.contribution.value) == [-2197, 3000, 500, -400, 1000])
    #expect(confidence.description == "0.870")  // -2197 + 3000 + 500 - 400 + 1000 = 1903
  }

  /// More evidence for an attack never lowers the confidence.
  @Test func isMonotone() {
    var state: UInt64 = 7
    func next(_ n: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % n
    }
    for _ in 0..<5000 {
      let signals = (0..<next(8)).map { signal("s\($0)", "f\(next(3))", Int32(next(6000) - 2000)) }
      let before = ConfidenceModel().score(signals).confidence
      #expect(ConfidenceModel().score(signals + [signal("more", "f\(next(4))", Int32(next(5000)))]).confidence >= before)
    }
  }

  @Test func extremeWeightsStayInRange() {
    #expect(ConfidenceModel().score((0..<100).map { signal("s", "f\($0)", .max) }).confidence.thousandths == 999)
    #expect(ConfidenceModel().score((0..<100).map { signal("s", "f\($0)", .min + 1) }).confidence.thousandths == 1)
  }
}
