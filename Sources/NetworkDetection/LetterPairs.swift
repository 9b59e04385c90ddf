// Whether a name looks like words or like dice: how often its letters follow each other in words.
// The table: for each first letter a row, for each second letter a digit, round(1.2 x (4 + log2(26 p))) within 0...9, where p is the share of
// the second letter behind the first one in 5,071 different words of the names and descriptions of Debian's packages (half a count added to
// each, so that nothing is impossible). Words have a mean of 5.4, letters thrown by dice 3.1; between 4.0 and 4.4 lie 1 in 100 of either.
import Primitives

enum LetterPairs {
  private static let rows: [StaticString] = [
    "05650140503757050667442130", "64546353632744550564612532", "71417116506520820547500030", "64348130802432620462512020",
    "53674332200557142775132520", "62346700800522710545500040", "52438145701636650762510010", "80218010702342700535400040",
    "47645440000558640466040204", "85348232323323644362524222", "64139240800324341375402011", "60247110901600620054420061",
    "84138100701451670052500000", "60666581612212420077430010", "33550340202568550755644100", "70337244502620750756400030",
    "22222222222724222222922222", "71448230702354630465420040", "51527205703431551078622040", "60428205800420620664402040",
    "55544340501667160767110200", "70329220800041500133200100", "72237226703206620653003002", "53656502604350370358341423",
    "45535030622566580375423003", "71349131811441611351111334",
  ]
  /// Below it a name looks like dice, in thousandths.
  static let leastOfWords: Int64 = 4000

  /// The mean digit of the pairs in `label`, in thousandths; nil where it has fewer than six pairs of letters: too short to say.
  static func likelihood(_ label: Bytes) -> Int64? {
    var sum: Int64 = 0
    var pairs: Int64 = 0
    var last: Int?
    for byte in label {
      let letter = Int(byte | 0x20) - 0x61
      guard letter >= 0, letter < 26 else {
        last = nil
        continue
      }
      if let last {
        sum += Int64(rows[last].utf8Start[letter]) - 0x30
        pairs += 1
      }
      last = letter
    }
    return pairs >= 6 ? sum * 1000 / pairs : nil
  }
}
