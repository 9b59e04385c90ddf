// The words that rules are written in: ATR's (spec/atr-schema.yaml, spec/atr-correlation-v1.0.md) and the host profile's
// (docs/atr-host-profile.md). Words that are in ATR but mean nothing to this engine are listed too, so that they are not reported.

enum Vocabulary {
  static let statuses = ["draft", "experimental", "stable", "deprecated"]
  static let maturities = ["experimental", "test", "production", "stable", "deprecated", "draft"]
  /// spec/schema/rule.schema.json, `lifecycle.review_status`.
  static let reviewStatuses = ["unreviewed", "community_reviewed", "tsc_approved"]

  static let agentSources = [
    "llm_io", "tool_call", "mcp_exchange", "agent_behavior", "multi_agent_comm", "context_window", "memory_access", "skill_lifecycle",
    "skill_permission", "skill_chain", "agent_trace", "mcp_tool", "skill_file",
  ]
  /// Host profile.
  static let hostSources = ["host_log", "host_network", "host_process"]

  static let agentCategories = [
    "prompt-injection", "tool-poisoning", "context-exfiltration", "agent-manipulation", "privilege-escalation", "excessive-autonomy",
    "data-poisoning", "model-abuse", "model-security", "skill-compromise",
  ]
  /// Host profile: the ATT&CK tactics.
  static let hostCategories = [
    "reconnaissance", "resource-development", "initial-access", "execution", "persistence", "privilege-escalation", "defense-evasion",
    "credential-access", "discovery", "lateral-movement", "collection", "command-and-control", "exfiltration", "impact",
  ]

  static let actions = [
    "block_input", "block_output", "block_tool", "quarantine_session", "reset_context", "alert", "snapshot", "escalate", "reduce_permissions",
    "kill_agent", "block_request", "log_alert", "quarantine_artifact", "require_human_review", "redact_match", "rate_limit_source",
    "revoke_credential", "notify_operator", "quarantine",
  ]
  /// Host profile: what playbooks can do.
  static let hostActions = ["block_ip", "notify", "capture_evidence", "quarantine_file", "kill_process", "disable_account", "log_only"]

  static let ruleKeys = [
    "schema_version", "title", "id", "status", "description", "author", "date", "modified", "rule_version", "detection_tier", "maturity",
    "severity", "references", "compliance", "tags", "agent_source", "detection", "response", "test_cases", "evasion_tests", "confidence",
    "metadata_provenance", "wild_fp_rate", "wild_validated", "wild_samples", "source", "remediation", "license", "lineage", "panguard",
    "replaced_by", "false_positives", "provenance", "lifecycle", "confirm", "supersedes", "deprecated_by",
  ]
  static let correlationDocumentKeys = [
    "correlation", "source_rules", "correlation_logic", "response", "test_cases", "evasion_tests", "tags", "confidence", "references",
    "agent_source", "panguard", "schema_version", "detection",
  ]
  static let correlationKeys = [
    "schema_version", "id", "title", "description", "status", "maturity", "severity", "author", "date", "modified", "license", "references",
    "confidence", "tags", "false_positives",
  ]
  static let tagKeys = [
    "category", "subcategory", "confidence", "scan_target", "corpus_source", "source", "vendor_sources", "suppress_in_code_blocks", "tags",
  ]
  /// What rules can say under the keys that profiles filter by; keys that are not here take any word.
  static let tagWords: [String: [String]] = [
    "severity": Severity.allCases.map(\.rawValue), "maturity": maturities, "status": statuses, "rule_status": statuses,
    "category": agentCategories + hostCategories, "scan_target": ScanTargets.words, "confidence": ["high", "medium-high", "medium", "low"],
  ]
  static let detectionKeys = [
    "method", "conditions", "selectors", "condition", "false_positives", "behavioral", "signature", "semantic", "trace", "test_cases",
  ]
  static let behavioralKeys = [
    "metric", "aggregation", "window", "operator", "threshold", "group_by", "filter", "baseline", "min_events", "cooldown",
  ]
  static let responseKeys = ["actions", "auto_response_threshold", "message_template", "notify", "severity_uplift", "user_message", "redact_match"]
  static let testGroups = ["true_positives", "true_negatives", "evasion_tests", "true_positive_streams", "true_negative_streams"]

  /// Fields of an agent event, which a case of an agent rule may name besides the host's.
  static let agentFields = [
    "user_input", "agent_output", "tool_name", "tool_args", "tool_response", "tool_description", "agent_message", "tool_call", "content",
    "event_type", "metadata", "fields", "trace", "metrics", "session_id", "agent_id",
  ]
  /// Keys of a test that say something about it; every other key is a field of the event.
  static let testKeys = [
    "input", "event", "stream", "file", "repeat", "every", "format", "expected", "description", "reason", "notes", "name", "id",
    "matched_condition", "bypass_technique", "evasion_technique", "detection_field", "language",
  ]
  static let testFormats = ["auto", "syslog", "access", "web-error", "json", "plain"]

  /// Of conditions (spec/atr-language-detection-v1.0.md).
  static let languages = ["en", "zh-Hant", "zh-Hans", "ja", "es", "ar"]
  static let operators = ["regex", "contains", "exact", "starts_with", "gt", "lt", "gte", "lte", "eq"]
  /// Other spellings of the list form: the JSON schema's (spec/schema/rule.schema.json) and the selectors'.
  static let listAliases = [
    "equals": "exact", "matches": "regex", "startswith": "starts_with", "contains_i": "contains", "in": "exact", "endswith": "endswith",
    "length_gt": "length_gt", "length_lt": "length_lt",
  ]
  /// In the JSON schema, and nothing that a deterministic engine could do: the rule is skipped.
  static let foreignOperators = ["ml_classifier", "ast", "bytecode"]
  /// SPEC.md 6.3.
  static let selectorOperators = ["contains", "contains_i", "regex", "equals", "startswith", "endswith", "length_gt", "length_lt", "in"]
  static let matchTypes = ["regex", "contains", "exact", "starts_with"]
  static let predicates = [
    "in", "not_in", "eq", "equals", "ne", "not_equals", "gt", "gte", "lt", "lte", "regex", "contains", "starts_with", "exists",
  ]
}

/// An operator of the list form of conditions, as the reader takes it.
public struct ListOperator: Sendable {
  /// One of the standard's names where it is another spelling of one, else as it is written.
  public var word: String
  /// Where `case_sensitive` does not say it. As in the reference engine, equality minds case and everything else ignores it.
  public var mindsCase: Bool { word == "exact" }
  public init(_ written: String) { word = Vocabulary.listAliases[written] ?? written }
}
