import Primitives
import Testing
import TypedYAML
@Test func smoke() {
  let r = YAMLParser.parse("a: 1\nb: [x, 'y']\n---\nc: \"\\u0041\"\n", file: "f")
  print(r)
}
