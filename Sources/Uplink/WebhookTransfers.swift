// Requests to webhooks, by libcurl, one for each webhook at a time, all in one thread. What may be spoken stands here: HTTPS over TLS 1.3
// with a certificate that is valid for the name, and with one of the pinned keys where there are some; POST, HTTP/1.1; no redirect, proxy,
// cookie, password file or compression, whatever the environment says. Answers are counted and thrown away: of one only its number counts.
import CCurl
import Glibc
import Primitives

final class WebhookTransfers {
  private final class Transfer {
    let webhook: Int
    let handle: UnsafeMutableRawPointer
    var headers: UnsafeMutablePointer<curl_slist>?
    // At addresses of their own: libcurl reads and writes them until the end.
    let body: UnsafeMutableBufferPointer<CChar>
    let error = UnsafeMutableBufferPointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
    let room = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)

    init(_ webhook: Int, _ handle: UnsafeMutableRawPointer, _ bytes: [UInt8]) {
      (self.webhook, self.handle) = (webhook, handle)
      body = .allocate(capacity: max(1, bytes.count))
      _ = body.initialize(from: bytes.map { CChar(bitPattern: $0) })
      error.initialize(repeating: 0)
      room.initialize(to: Limits.webhookAnswerBytes)
    }
    deinit {
      curl_easy_cleanup(handle)
      curl_slist_free_all(headers)
      body.deallocate()
      error.deallocate()
      room.deallocate()
    }
    func add(header: String) { headers = curl_slist_append(headers, header) }
  }

  private let webhooks: [Webhook]
  private let multi: UnsafeMutableRawPointer
  private var running: [UnsafeMutableRawPointer: Transfer] = [:]

  /// To be made before anything is given up: it makes what it wakes itself with. nil: there is no memory.
  init?(_ webhooks: [Webhook]) {
    guard pg_curl_global_init() == CURLE_OK, let multi = curl_multi_init() else { return nil }
    self.webhooks = webhooks
    self.multi = multi
    _ = pg_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, CLong(Limits.webhooks))
  }
  deinit {
    for (handle, _) in running { curl_multi_remove_handle(multi, handle) }
    running.removeAll()
    curl_multi_cleanup(multi)
  }

  /// Begins to send; how it ended comes from `finished`. The number is the webhook's place in the configuration. False: it cannot begin.
  func begin(_ webhook: Int, key: String, body: [UInt8], unixTime: Int64) -> Bool {
    guard let handle = curl_easy_init() else { return false }
    let transfer = Transfer(webhook, handle, body)
    let configured = webhooks[webhook]
    transfer.add(header: "Content-Type: application/json")
    transfer.add(header: "Idempotency-Key: \(key)")
    transfer.add(header: "X-Panguard-Timestamp: \(unixTime)")
    transfer.add(header: "X-Panguard-Signature: \(WebhookSignature.header(of: body, at: unixTime, secret: configured.secret))")
    // No question whether the body is welcome.
    transfer.add(header: "Expect:")
    guard set(transfer, configured, length: body.count), curl_multi_add_handle(multi, handle) == CURLM_OK else { return false }
    running[handle] = transfer
    return true
  }

  /// False where this libcurl cannot do what is asked: then nothing is sent.
  private func set(_ transfer: Transfer, _ webhook: Webhook, length: Int) -> Bool {
    let milliseconds = CLong(webhook.timeout.count / 1_000_000)
    let numbers: [(CURLoption, CLong)] = [
      (CURLOPT_POST, 1), (CURLOPT_POSTFIELDSIZE, CLong(length)), (CURLOPT_FOLLOWLOCATION, 0), (CURLOPT_NOSIGNAL, 1),
      (CURLOPT_SSLVERSION, CLong(CURL_SSLVERSION_TLSv1_3)), (CURLOPT_SSL_VERIFYPEER, 1), (CURLOPT_SSL_VERIFYHOST, 2),
      (CURLOPT_HTTP_VERSION, CLong(CURL_HTTP_VERSION_1_1)), (CURLOPT_HTTP09_ALLOWED, 0), (CURLOPT_DISALLOW_USERNAME_IN_URL, 1),
      (CURLOPT_NETRC, CLong(CURL_NETRC_IGNORED.rawValue)), (CURLOPT_TIMEOUT_MS, milliseconds),
      (CURLOPT_CONNECTTIMEOUT_MS, min(milliseconds, 5000)), (CURLOPT_MAXAGE_CONN, 30), (CURLOPT_TCP_NODELAY, 1),
    ]
    var texts: [(CURLoption, String)] = [
      (CURLOPT_URL, webhook.url.text), (CURLOPT_PROTOCOLS_STR, webhook.url.isPlain ? "http" : "https"), (CURLOPT_REDIR_PROTOCOLS_STR, "https"),
      (CURLOPT_PROXY, ""), (CURLOPT_USERAGENT, "panguard-uplink"), (CURLOPT_CAINFO, webhook.authorities),
    ]
    if !webhook.pins.isEmpty { texts.append((CURLOPT_PINNEDPUBLICKEY, webhook.pins.joined(separator: ";"))) }
    let handle = transfer.handle
    pg_curl_forget_answer(handle, transfer.room)
    return numbers.allSatisfy { pg_curl_set_long(handle, $0.0, $0.1) == CURLE_OK }
      && texts.allSatisfy { pg_curl_set_text(handle, $0.0, $0.1) == CURLE_OK }
      && pg_curl_set_text(handle, CURLOPT_CAPATH, nil) == CURLE_OK && pg_curl_set_headers(handle, transfer.headers) == CURLE_OK
      && pg_curl_set_text(handle, CURLOPT_POSTFIELDS, transfer.body.baseAddress) == CURLE_OK
      && pg_curl_set_buffer(handle, CURLOPT_ERRORBUFFER, transfer.error.baseAddress) == CURLE_OK
  }

  /// Waits for transfers and for `entries`, at most `milliseconds`; then goes on with what can go on.
  func wait(_ entries: inout [pollfd], milliseconds: Int32) {
    // CURL_WAIT_POLLIN and CURL_WAIT_POLLOUT are POLLIN and POLLOUT.
    var waited = entries.map { curl_waitfd(fd: $0.fd, events: $0.events, revents: 0) }
    _ = curl_multi_poll(multi, &waited, UInt32(waited.count), milliseconds, nil)
    for (i, entry) in waited.enumerated() { entries[i].revents = entry.revents }
    var count: Int32 = 0
    _ = curl_multi_perform(multi, &count)
  }

  /// What has ended since it was last asked.
  func finished() -> [(webhook: Int, result: AttemptResult)] {
    var out: [(webhook: Int, result: AttemptResult)] = []
    var left: Int32 = 0
    while let message = curl_multi_info_read(multi, &left) {
      guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle, let transfer = running.removeValue(forKey: handle) else {
        continue
      }
      let code = pg_curl_message_result(message)
      let status = pg_curl_response_status(handle)
      let text = String(decoding: transfer.error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      curl_multi_remove_handle(multi, handle)
      out.append((transfer.webhook, AttemptResult(code: code, status: status, detail: text)))
    }
    return out
  }
}

extension AttemptResult {
  /// What libcurl's result and the answer's number (0: there was none) mean.
  init(code: CURLcode, status: Int, detail: String) {
    let text = AttemptResult.plain(detail.isEmpty ? String(cString: curl_easy_strerror(code)) : detail)
    switch code {
    case CURLE_OK: self = AttemptResult(status: status)
    // The answer was longer than is taken, but its number had come.
    case CURLE_WRITE_ERROR where status > 0: self = AttemptResult(status: status)
    case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT: self = .failed(text, .noConnection)
    case CURLE_SSL_CONNECT_ERROR: self = .failed("TLS: \(text)", .badHandshake)
    case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_ISSUER_ERROR,
      CURLE_SSL_CIPHER:
      self = .rejected("TLS: \(text)")
    case CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT: self = .rejected(text)
    default: self = .failed(text, .badAnswer)
    }
  }

  private init(status: Int) {
    switch status {
    case 200..<300: self = .delivered
    case 300..<400: self = .rejected("HTTP \(status): redirects are not followed")
    case 408, 425, 429, 500..<600: self = .failed("HTTP \(status)", .badAnswer)
    default: self = .rejected("HTTP \(status)")
    }
  }

  /// On one line, in ASCII, of bounded length: it names what a server sent.
  static func plain(_ text: String) -> String {
    String(decoding: text.utf8.prefix(Limits.uplinkTextBytes - 8).map { $0 >= 0x20 && $0 < 0x7f ? $0 : 0x3f }, as: UTF8.self)
  }
}
