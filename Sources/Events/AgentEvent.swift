// An agent's event as ATR's engines take it: {"content":..,"event_type":..,"fields":{..},"metadata":{..}}. Which name shows which text is
// settled here, once, so that the matcher only ever asks an event for a field.
// The order (Agent-Threat-Rule/agent-threat-rules, the Python engine's field resolution): an explicit field wins, also an empty one, and
// an explicit null means absent; `content`, if it is not empty, is `content` and the default field of the event's type, and of a tool
// call also `tool_name`; `metadata` gives what nothing else gave, but never a name that content can stand for.
// What else the standard's tools write, and objects inside `fields` and `metadata`: see AgentEventNames.swift.
// What must stay true: a text that several names show lies in memory once.
import Primitives

public enum AgentEventType: String, CaseIterable, Sendable {
  case llmInput = "llm_input"
  case llmOutput = "llm_output"
  case toolCall = "tool_call"
  case toolResponse = "tool_response"
  case multiAgentMessage = "multi_agent_message"

  /// The field that `content` is for an event of this type.
  public var defaultField: Field {
    switch self {
    case .llmInput: .userInput
    case .llmOutput: .agentOutput
    case .toolCall: .toolArgs
    case .toolResponse: .toolResponse
    case .multiAgentMessage: .agentMessage
    }
  }
  /// All fields that `content` is.
  public var contentFields: [Field] { self == .toolCall ? [.content, .toolArgs, .toolName] : [.content, defaultField] }
  public init?(_ name: Bytes) {
    for (type, written) in AgentEventType.names where name.equals(written) {
      self = type
      return
    }
    return nil
  }
  /// The raw values, where comparing them takes no string.
  private static let names: [(AgentEventType, StaticString)] = [
    (.llmInput, "llm_input"), (.toolCall, "tool_call"), (.toolResponse, "tool_response"), (.llmOutput, "llm_output"),
    (.multiAgentMessage, "multi_agent_message"),
  ]
}

extension Event {
  /// Names that `metadata` never gives.
  static func isContentName(_ field: Field) -> Bool { contentNames.contains(field) }
  private static let contentNames: [Field] = [.content, .userInput, .agentOutput, .toolArgs, .toolName, .toolResponse, .agentMessage]

  /// Sets fields from one JSON object: an agent's event if it has a member `content` or `event_type`, or an object `fields` or `metadata`;
  /// or a `type` that is an agent event's; else the flat form (see `setFields`). Texts are held up to `Limits.agentEventBytes`. Throws JSONError.
  public mutating func setFields(fromAgentJSON bytes: Bytes) throws {
    allowLargeTexts()
    var content: Bytes?
    var type: Bytes?
    var fields: Bytes?
    var metadata: Bytes?
    var aliases = AgentEventAliases()
    var others: [UInt8] = []
    try JSONMembers.forEach(of: bytes) { key, value in
      if key.equals("content") {
        content = value
      } else if key.equals("event_type") {
        type = value
      } else if key.equals("fields"), value.starts(with: "{") {
        fields = value
      } else if key.equals("metadata"), value.starts(with: "{") {
        metadata = value
      } else {
        aliases.note(key, value)
        others.append(others.isEmpty ? 0x7b : 0x2c)
        JSONWriter.appendQuoted(key, to: &others)
        others.append(0x3a)
        others.append(value)
      }
    }
    if type == nil, content != nil || fields != nil || metadata != nil || aliases.namesAgentEvent { type = aliases.type }
    if content == nil, type == nil, fields == nil, metadata == nil {
      try setFields(fromJSON: bytes)
      return try set(aliases)
    }
    if !others.isEmpty {
      others.append(0x7d)
      try others.withUnsafeBytes { try setFields(fromJSON: $0) }
    }
    try setContent(content, type)
    var nulls: [[UInt8]] = []
    var nested: [NestedObject] = []
    if let fields { try setExplicit(fields, &nulls, &nested) }
    if let metadata { try setMetadata(metadata, nulls, &nested) }
    for object in nested { try setNested(object, &nulls) }
    try set(aliases)
    showSkill(nulls)
  }

  /// The content of a skill document is `skill.content` too, which is what signatures name (spec/atr-method-v1.1.md, 5.2.1, 5.5).
  private mutating func showSkill(_ nulls: [[UInt8]]) {
    let name = Bytes("skill.content")
    guard text(.scanTarget)?.equals("skill") == true, let content = text(.content), extra(name) == nil,
      !nulls.contains(where: { name.elementsEqual($0) })
    else { return }
    setExtra(name, content)
  }

  /// The same for a text that is known already. An empty one is no text.
  public mutating func setContent(_ text: Bytes, type: AgentEventType) {
    allowLargeTexts()
    show(text, type)
    type.rawValue.withUTF8Copy { set(.eventType, $0) }
  }

  private mutating func setContent(_ content: Bytes?, _ type: Bytes?) throws {
    // An event that does not say what it is, is what a user wrote.
    var known: AgentEventType? = .llmInput
    if let type, let name = try text(ofJSON: type) {
      set(.eventType, name)
      known = AgentEventType(name)
    } else {
      set(.eventType, "llm_input" as StaticString)
    }
    if let content, let text = try text(ofJSON: content) { show(text, known) }
  }
  private mutating func show(_ text: Bytes, _ type: AgentEventType?) {
    guard text.count > 0 else { return }
    let kept = keep(text)
    set(.content, kept)
    guard let type else { return }
    set(type.defaultField, kept)
    if type == .toolCall { set(.toolName, kept) }
  }

  /// `nulls`: names that the event says are absent.
  private mutating func setExplicit(_ object: Bytes, _ nulls: inout [[UInt8]], _ nested: inout [NestedObject]) throws {
    try JSONMembers.forEach(of: object) { name, value in
      if value.starts(with: "{") { nested.append(NestedObject(name: Array(name), json: value, isExplicit: true)) }
      let text = try self.text(ofJSON: value)
      if let field = Field(name: name) {
        guard let text else {
          remove(field)
          note(name, &nulls)
          return
        }
        if set(field, parsing: text) { return }
        remove(field)
      } else if text == nil {
        note(name, &nulls)
      }
      removeExtra(name)
      if let text { setExtra(name, text) }
    }
  }
  func note(_ name: Bytes, _ nulls: inout [[UInt8]]) {
    if nulls.count < Limits.agentExtraFields { nulls.append(Array(name)) }
  }
  private mutating func setMetadata(_ object: Bytes, _ nulls: [[UInt8]], _ nested: inout [NestedObject]) throws {
    try JSONMembers.forEach(of: object) { name, value in
      if value.starts(with: "{") { nested.append(NestedObject(name: Array(name), json: value, isExplicit: false)) }
      guard !nulls.contains(where: { name.elementsEqual($0) }), extra(name) == nil, let text = try self.text(ofJSON: value) else { return }
      if let field = Field(name: name), Event.isContentName(field) || has(field) || set(field, parsing: text) { return }
      setExtra(name, text)
    }
  }

  /// A value as text, kept in this event: a string decoded, a truth value as "True" or "False", a number, list or object as it is written;
  /// nil for null.
  mutating func text(ofJSON value: Bytes) throws -> Bytes? {
    var reader = JSONReader(value)
    let text: Bytes?? = try reader.next { token -> Bytes? in
      switch token {
      case .string(let text): return keep(text)
      case .bool(let flag): return Bytes(flag ? "True" : "False")
      case .null: return nil
      default: return keep(value)
      }
    }
    return text ?? nil
  }
}

extension String {
  fileprivate func withUTF8Copy<Result>(_ body: (Bytes) -> Result) -> Result {
    var copy = self
    return copy.withUTF8 { body(Bytes($0)) }
  }
}
