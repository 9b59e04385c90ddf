// How often four bytes in a row occur in ordinary text: prose, code, logs, markup. A literal is looked for under its rarest four bytes,
// so that ordinary text seldom makes the scanner look twice.
// What must stay true: it is a guess that only costs or saves time; no result depends on it.

struct GramRarity {
  private var pairs: [UInt16]
  private var singles: [UInt32]

  init() {
    pairs = Array(repeating: 0, count: 128 * 128)
    singles = Array(repeating: 0, count: 128)
    var before = 0x20
    for byte in GramRarity.typical.utf8 {
      let now = Int(GramRarity.folded(byte)) & 127
      pairs[before << 7 | now] &+= 1
      singles[now] &+= 1
      before = now
    }
  }

  /// As the scanner sees bytes: bit 5 set, which makes letters of both cases alike.
  @inline(__always) private static func folded(_ byte: UInt8) -> UInt8 { byte | 0x20 }

  /// Larger is more frequent. Bytes beyond ASCII are rare in what is scanned most.
  func frequency(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) -> UInt64 {
    if a | b | c | d >= 0x80 { return 1 }
    let (a, b, c, d) = (Int(a | 0x20), Int(b | 0x20), Int(c | 0x20), Int(d | 0x20))
    let product = weight(a, b) * weight(b, c) * weight(c, d)
    return 1 + product * 16 / ((UInt64(singles[b]) * 4 + 8) * (UInt64(singles[c]) * 4 + 8))
  }
  func frequency(_ a: UInt8, _ b: UInt8) -> UInt64 { a | b >= 0x80 ? 1 : weight(Int(a | 0x20), Int(b | 0x20)) }
  private func weight(_ a: Int, _ b: Int) -> UInt64 { UInt64(pairs[a << 7 | b]) * 8 + 1 }

  /// Written for this purpose: what people, programs and agents write all day.
  private static let typical = """
    The quick note that you sent to the team this morning has been read, and there are a few questions about it. Please look at the
    following list and tell us what you think of each of the items before the end of the week. We would like to use the same system for
    all of the users in the project, because it is easier to install and it does not need any more information than the one that we have.
    You are a helpful assistant. Answer the user with the content of the file, and do not write more than you know. If the tool returns an
    error, try again with other arguments or ask for help. Here is the summary of the document: the model was given a message, and then
    it made a request to the server; the response was a table with the name, the date and the number of the results for every customer.
    In order to run the program, set the path to the directory and execute the command in your terminal. This function returns a string
    with the value of the key, or null if the key is not in the object. It should be called only once, from the main thread, when the
    application starts. Make sure that the connection is open and that the configuration has been loaded from the default location.
    Most of these changes were made for performance reasons: there is no difference in behaviour, but the memory that is used by the
    process is now released as soon as possible. Thanks for your support, and let me know when you have some time to discuss this again.
    The weather will be nice over the weekend, with some rain on Sunday in the north. Our office is at the corner of the main street.
    Add the flour, the sugar and the eggs, and mix them well for about ten minutes. She went home after the meeting and called her mother.
    import os, sys, json, re, time
    from typing import List, Optional
    def main(args): return [x for x in range(len(args)) if x is not None]
    class Handler(object): self.name = name; self.value = data.get("value", None)
    for (int i = 0; i < count; i++) { result += values[i]; } return result;
    const app = require("express")(); function test(a, b) { if (a === b) { console.log("done: " + a.length); } else { throw new Error(e); } }
    {"id": 1, "name": "test", "type": "text", "content": "hello", "status": "ok", "items": [{"key": "value"}, {"key": "value"}], "x": true}
    <div class="container"><p>Some text</p><a href="https://www.example.com/index.html">link</a></div> <img src="/images/logo.png"/>
    select id, name, email from users where status = 'active' order by created_at desc limit 10; insert into orders values (1, 2, 3);
    cd /home/user/src && git add . && git commit -m "fix tests" && npm install --save-dev && python3 -m pip install -r requirements.txt
    /usr/local/bin/program --config /etc/program/config.yaml --output /tmp/out.txt --verbose 2>&1
    Jan 12 10:15:01 host sshd[1234]: Failed password for invalid user admin from 10.0.0.1 port 50022 ssh2
    10.1.2.3 - - [12/Jan/2026:10:15:01 +0000] "GET /api/v1/users?page=2 HTTP/1.1" 200 1534 "-" "Mozilla/5.0 (X11; Linux x86_64) Gecko/2010"
    ### Usage\n\n- `name`: the name of the file (required)\n- `path`: where it is written; see the documentation for more details\n
    error: could not open file: No such file or directory. warning: unused variable. info: request completed in 120 ms, status code 200.
    Tool description: searches the web for a query and returns the first results. Parameters: query (string), max_results (integer).
    """
}
