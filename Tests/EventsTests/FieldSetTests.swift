// Sets of fields over all fields of the table, whatever word their bit lies in.
import Testing

@testable import Events

@Suite struct FieldSetTests {
  @Test func everyFieldHasABitOfItsOwn() {
    #expect(Field.allCases.count <= FieldSet.capacity)
    var all = FieldSet()
    for field in Field.allCases {
      #expect(!all.contains(field))
      all.insert(field)
      var one = FieldSet()
      one.insert(field)
      #expect(one.contains(field) && one.isSubset(of: all) && (all == one || !all.isSubset(of: one)))
      #expect(Field.allCases.filter(one.contains).count == 1)
    }
    for field in Field.allCases {
      all.remove(field)
      #expect(!all.contains(field))
    }
    #expect(all == FieldSet())
  }
  @Test func intersection() {
    var a = FieldSet()
    var b = FieldSet()
    for field in [Field.eventCategory, .sourceIP, .dnsAnswers, .isCleartextCredential] { a.insert(field) }
    for field in [Field.sourceIP, .isCleartextCredential, .message] { b.insert(field) }
    a.formIntersection(b)
    #expect(Field.allCases.filter(a.contains) == [.sourceIP, .isCleartextCredential])
  }
  @Test func namesAreDistinct() { #expect(Set(Field.allNames).count == Field.allCases.count) }
}
