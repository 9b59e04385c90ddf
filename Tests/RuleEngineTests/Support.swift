import Events
import Primitives
import RuleLanguage
@testable import RuleEngine
