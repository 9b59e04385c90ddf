// The version that decisions name. Semantic versioning; a change that can alter a decision raises at least the minor number.

public enum Version {
  public static let text = "0.1.0"
}
