// JSON-RPC 2.0 and the Model Context Protocol on it: calls of tools, what they answer, what tools are described as. They become the fields that
// ATR's rules for agents ask for.
// What must stay true: linear; texts are cut at `Limits.rpcTextBytes`; the answer to a call is known by its id, among the last
// `Limits.rpcCalls` calls of the connection.
import Events
import Primitives

/// Borrowed.
public struct JSONRPCMessage {
  public enum Kind: Sendable { case call, notification, answer, listedTool }
  public var kind = Kind.call
  /// Of the call; for an answer that of the call it belongs to, if that was seen.
  public var method = Bytes.none
  /// As it is written: a number, or a string with its quotes; empty for a notification.
  public var id = Bytes.none
  public var toolName = Bytes.none
  /// `arguments` of tools/call, as JSON text.
  public var toolArguments = Bytes.none
  public var toolDescription = Bytes.none
  /// What an answer says (texts of its content, else its JSON), or the parameters of a call that is none of a tool.
  public var content = Bytes.none
  public var errorCode: Int64?
  /// MCP's Mcp-Session-Id.
  public var sessionID = Bytes.none

  public var isRequest: Bool { kind == .call || kind == .notification }

  func appendFields(to event: inout Event) {
    if method.count > 0 { event.set(.rpcMethod, method) }
    if id.count > 0 { event.set(.rpcRequestID, id) }
    if let errorCode { event.set(.rpcErrorCode, errorCode) }
    if sessionID.count > 0 { event.set(.sessionID, sessionID) }
    switch kind {
    case .call, .notification: appendCall(to: &event)
    case .answer:
      event.set(.eventAction, "rpc-answer" as StaticString)
      event.set(.eventOutcome, errorCode == nil ? "success" as StaticString : "failure")
      event.setContent(content, type: .toolResponse)
      if toolName.count > 0 { event.set(.toolName, toolName) }
    case .listedTool:
      event.set(.eventAction, "tool-listed" as StaticString)
      event.setContent(toolDescription, type: .toolResponse)
      event.set(.toolName, toolName)
      event.set(.toolDescription, toolDescription)
    }
  }
  private func appendCall(to event: inout Event) {
    guard toolName.count > 0 else {
      event.set(.eventAction, "rpc-call" as StaticString)
      if content.count > 0 { event.set(.content, content) }
      return
    }
    event.set(.eventAction, "tool-call" as StaticString)
    event.setContent(toolArguments, type: .toolCall)
    event.set(.toolName, toolName)
    event.set(.toolInput, toolArguments)
  }
}

/// Calls of one connection that have no answer yet.
struct RPCCalls {
  private var calls: [(id: Fingerprint, method: [UInt8], tool: [UInt8])] = []
  mutating func note(_ id: Bytes, method: Bytes, tool: Bytes) {
    guard id.count > 0 else { return }
    if calls.count >= Limits.rpcCalls { calls.removeFirst() }
    calls.append((Fingerprint(of: id), Array(method.upTo(128)), Array(tool.upTo(256))))
  }
  mutating func take(_ id: Bytes) -> (method: [UInt8], tool: [UInt8]) {
    let wanted = Fingerprint(of: id)
    guard let at = calls.firstIndex(where: { $0.id == wanted }) else { return ([], []) }
    let call = calls.remove(at: at)
    return (call.method, call.tool)
  }
}

enum JSONRPCReader {
  /// Emits what the document says; nothing where it is no JSON-RPC.
  static func read(_ document: Bytes, sessionID: Bytes, _ calls: inout RPCCalls, _ emit: (borrowing JSONRPCMessage) -> Void) {
    guard let first = document.first(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0a && $0 != 0x0d }) else { return }
    if first == 0x7b { return object(document, sessionID, &calls, emit) }
    guard first == 0x5b, let batch = try? JSONMembers.elements(of: document) else { return }
    for element in batch.prefix(Limits.rpcBatch) { object(element, sessionID, &calls, emit) }
  }

  private struct Parts {
    var method = Bytes.none
    var id = Bytes.none
    var parameters = Bytes.none
    var result = Bytes.none
    var error = Bytes.none
  }
  private static func object(_ text: Bytes, _ sessionID: Bytes, _ calls: inout RPCCalls, _ emit: (borrowing JSONRPCMessage) -> Void) {
    var parts = Parts()
    let isWhole: Void? = try? JSONMembers.forEach(of: text) { key, value in
      if key.equals("method") {
        parts.method = value
      } else if key.equals("id") {
        parts.id = value
      } else if key.equals("params") {
        parts.parameters = value
      } else if key.equals("result") {
        parts.result = value
      } else if key.equals("error") {
        parts.error = value
      }
    }
    guard isWhole != nil else { return }
    if parts.id.equals("null") { parts.id = .none }
    if parts.method.count > 0 {
      call(parts, sessionID, &calls, emit)
    } else if parts.id.count > 0, parts.result.count > 0 || parts.error.count > 0 {
      answer(parts, sessionID, &calls, emit)
    }
  }

  private static func call(_ parts: Parts, _ sessionID: Bytes, _ calls: inout RPCCalls, _ emit: (borrowing JSONRPCMessage) -> Void) {
    let method = decoded(parts.method)
    guard !method.isEmpty else { return }
    var name: [UInt8] = []
    var arguments = Bytes.none
    if method.elementsEqual("tools/call".utf8) {
      try? JSONMembers.forEach(of: parts.parameters) { key, value in
        if key.equals("name") {
          name = decoded(value)
        } else if key.equals("arguments") {
          arguments = value
        }
      }
    }
    method.withUnsafeBytes { method in
      name.withUnsafeBytes { name in
        calls.note(parts.id, method: method, tool: name)
        var message = JSONRPCMessage()
        message.kind = parts.id.count > 0 ? .call : .notification
        message.method = method
        message.id = parts.id
        message.sessionID = sessionID
        message.toolName = name
        message.toolArguments = arguments.upTo(Limits.rpcTextBytes)
        if name.count == 0 { message.content = parts.parameters.upTo(Limits.rpcTextBytes) }
        emit(message)
      }
    }
  }

  private static func answer(_ parts: Parts, _ sessionID: Bytes, _ calls: inout RPCCalls, _ emit: (borrowing JSONRPCMessage) -> Void) {
    let (method, tool) = calls.take(parts.id)
    var message = JSONRPCMessage()
    message.kind = .answer
    message.id = parts.id
    message.sessionID = sessionID
    method.withUnsafeBytes { method in
      tool.withUnsafeBytes { tool in
        message.method = method
        message.toolName = tool
        if parts.result.count > 0, !parts.result.equals("null") {
          result(parts.result, message, emit)
        } else {
          message.errorCode = errorCode(parts.error)
          message.content = parts.error.upTo(Limits.rpcTextBytes)
          emit(message)
        }
      }
    }
  }
  private static func errorCode(_ error: Bytes) -> Int64 {
    var code: Int64 = 0
    try? JSONMembers.forEach(of: error) { key, value in
      guard key.equals("code") else { return }
      let isNegative = value.starts(with: "-")
      if let number = value.from(isNegative ? 1 : 0).decimal { code = isNegative ? -number : number }
    }
    return code
  }

  private static func result(_ result: Bytes, _ plain: JSONRPCMessage, _ emit: (borrowing JSONRPCMessage) -> Void) {
    var tools = Bytes.none
    var texts: [UInt8] = []
    try? JSONMembers.forEach(of: result) { key, value in
      if key.equals("tools") {
        tools = value
      } else if key.equals("content") || key.equals("contents") || key.equals("messages") {
        appendTexts(of: value, to: &texts)
      }
    }
    if tools.count > 0, let list = try? JSONMembers.elements(of: tools) {
      for tool in list.prefix(Limits.rpcTools) { listed(tool, plain, emit) }
      return
    }
    var message = plain
    if texts.isEmpty {
      message.content = result.upTo(Limits.rpcTextBytes)
      return emit(message)
    }
    texts.withUnsafeBytes {
      message.content = $0
      emit(message)
    }
  }
  /// One tool of tools/list. What an agent reads of it is its description, and those of its parameters in the schema.
  private static func listed(_ tool: Bytes, _ plain: JSONRPCMessage, _ emit: (borrowing JSONRPCMessage) -> Void) {
    var name: [UInt8] = []
    var description: [UInt8] = []
    try? JSONMembers.forEach(of: tool) { key, value in
      if key.equals("name") {
        name = decoded(value)
      } else if key.equals("description") {
        description = decoded(value)
      }
    }
    guard !name.isEmpty else { return }
    name.withUnsafeBytes { name in
      description.withUnsafeBytes { description in
        var message = plain
        message.kind = .listedTool
        message.toolName = name
        message.toolDescription = description
        emit(message)
      }
    }
  }
  /// The `text` members of a list of objects, or of the objects in their `content` (prompts), a line each.
  private static func appendTexts(of list: Bytes, to out: inout [UInt8]) {
    guard let elements = try? JSONMembers.elements(of: list) else { return }
    for element in elements where out.count < Limits.rpcTextBytes {
      try? JSONMembers.forEach(of: element) { key, value in
        if key.equals("text") {
          if !out.isEmpty { out.append(0x0a) }
          out.append(contentsOf: decoded(value).prefix(Limits.rpcTextBytes - min(out.count, Limits.rpcTextBytes)))
        } else if key.equals("content"), value.starts(with: "{") {
          try JSONMembers.forEach(of: value) { inner, text in
            if inner.equals("text") { out.append(contentsOf: decoded(text).prefix(Limits.rpcTextBytes - min(out.count, Limits.rpcTextBytes))) }
          }
        }
      }
    }
  }
  /// The text of a JSON string; empty for anything else.
  private static func decoded(_ value: Bytes) -> [UInt8] {
    guard value.starts(with: "\"") else { return [] }
    var reader = JSONReader(value)
    let text: [UInt8]?? = try? reader.next { token in
      if case .string(let text) = token { return Array(text.upTo(Limits.rpcTextBytes)) }
      return []
    }
    return (text ?? []) ?? []
  }
}

/// JSON-RPC without HTTP: one object a line (miners, language servers without headers, MCP bridges).
final class JSONLinesParser: StreamParser {
  private var calls = RPCCalls()
  private var searched = ByDirection(0)
  private var strangers = ByDirection(0)

  init(_ context: ApplicationContext) { super.init(.jsonRPC, context) }
  override var messageLimit: Int { Limits.httpStructuredBodyBytes }

  /// An object that names a method, or has an id with a result. nil: too few bytes to say.
  static func recognise(_ bytes: Bytes) -> Bool? {
    guard let first = bytes.first else { return nil }
    guard first == 0x7b else { return false }
    let head = bytes.upTo(512)
    if head.contains("\"jsonrpc\"") || (head.contains("\"method\"") && head.contains("\"id\"")) { return true }
    return bytes.count >= 512 || bytes.index(of: 0x0a) != nil ? false : nil
  }

  override func parse(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    guard let end = bytes.index(of: 0x0a, from: searched[direction]) else {
      searched[direction] = bytes.count
      return .needs(bytes.count + 1)
    }
    searched[direction] = 0
    line(bytes.upTo(end), direction, frame, emit)
    return strangers[direction] > 4 ? .done : .took(end + 1)
  }
  override func end(_ rest: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) {
    if rest.count > 0 { line(rest, direction, frame, emit) }
  }
  private func line(_ text: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) {
    guard text.first == 0x7b || text.first == 0x5b else {
      strangers[direction] += 1
      return
    }
    JSONRPCReader.read(text, sessionID: .none, &calls) {
      emit(message(.jsonRPC($0), direction, frame, isFromClient: direction == .toResponder))
    }
  }
}
