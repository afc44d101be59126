import Diagnostics
import FlowModels

/// A DiT (Peebles & Xie 2022, arXiv 2212.09748).
public struct DiTConfig: NetworkSection {
  /// The paper's sizes (table 1) with patch 2, 4 or 8: "S/2" … "XL/8"; nil is a size of one's own.
  public var size: Size?
  public var width = 192
  public var depth = 6
  public var heads = 6
  public var patch = 4
  public var mlpRatio = 4.0
  /// 0 is a model without labels.
  public var classes = 16
  /// Probability with which a label is replaced by the null label; 0 is a model without one.
  public var labelDropout = 0.1
  /// Factor of the time before its sinusoidal features: 1 in LFM, 1,000 in DiT.
  public var timeScale = 1.0
  public var contextChannels = 0

  public struct Size: Sendable, Equatable {
    public enum Letter: String, CaseIterable, Sendable {
      case S, B, L, XL

      var extents: (width: Int, depth: Int, heads: Int) {
        DiT.Configuration.size(rawValue)!
      }
    }

    public let letter: Letter
    public let patch: Int

    /// nil unless `name` is one of `names`.
    public init?(_ name: String) {
      let parts = name.split(separator: "/", omittingEmptySubsequences: false)
      guard parts.count == 2, Size.names.contains(name),
        let letter = Letter(rawValue: String(parts[0])), let patch = Int(parts[1])
      else { return nil }
      self.letter = letter
      self.patch = patch
    }

    public var name: String { "\(letter.rawValue)/\(patch)" }

    public static let names = Letter.allCases.flatMap { letter in
      [2, 4, 8].map { "\(letter.rawValue)/\($0)" }
    }
  }

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    var name = size?.name
    try fields.choice("size", &name, among: Size.names)
    size = name.flatMap { Size($0) }
    if let size {
      (width, depth, heads) = size.letter.extents
      patch = size.patch
    }
    try fields.integer("width", &width, atLeast: 4)
    try fields.integer("depth", &depth, atLeast: 1)
    try fields.integer("heads", &heads, atLeast: 1)
    try fields.integer("patch", &patch, atLeast: 1)
    try fields.number("mlp_ratio", &mlpRatio, .positive)
    try fields.integer("classes", &classes, atLeast: 0)
    if classes == 0 { labelDropout = 0 }
    try fields.number("label_dropout", &labelDropout, .belowOne)
    try fields.number("time_scale", &timeScale, .positive)
    // Not written where there is none: the resolved file of such a run stays what it was.
    if fields.isSet("context_channels") || contextChannels > 0 {
      try fields.integer("context_channels", &contextChannels, atLeast: 0, atMost: 1 << 10)
    }
  }

  public func validate(_ check: ConfigCheck) throws {
    if let size {
      let (w, d, h) = size.letter.extents
      for (field, found, given) in [
        ("model.width", width, w), ("model.depth", depth, d), ("model.heads", heads, h),
        ("model.patch", patch, size.patch),
      ] {
        try check.that(
          found == given, field, "model.size", found: "found \(found)",
          expected: "\(given), which model.size \(size.name) means",
          advice: "remove the field, or set model.size=null for a size of your own")
      }
    }
    try check.that(
      width % heads == 0, "model.heads", "model.width",
      found: "\(heads) heads do not divide width \(width)", expected: "a divisor of model.width")
    try check.that(
      width % 4 == 0, "model.width", found: "width \(width)",
      expected: "a multiple of 4: positions are sines and cosines of two coordinates")
    let hidden = Double(width) * mlpRatio
    try check.that(
      hidden == hidden.rounded() && hidden >= 1, "model.mlp_ratio", "model.width",
      found: "\(mlpRatio) × width \(width) is \(hidden) hidden units",
      expected: "a whole number of them")
    try validateLabels(check)
  }
}
