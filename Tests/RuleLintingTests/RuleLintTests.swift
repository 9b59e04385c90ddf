import Testing
@Suite struct RuleLintTests {}
