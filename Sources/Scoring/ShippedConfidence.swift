// What rules/confidence.yaml says, built in, so that the agent judges the same where the file is not there. A test holds the two together.
import Primitives

extension ConfidenceModel {
  /// The shipped values; docs/confidence.md says where they come from.
  public static let shipped: ConfidenceModel = {
    var model = ConfidenceModel()
    // Unusual behaviour alone stays below the threshold to act: the prior and this make 0.899.
    model.familyCaps = [FamilyCap(anomalyFamily, MilliNats(4390))]
    model.table = ShippedTable.milliNats
    return model
  }()
}
