import Diagnostics

/// Kinds of masks as a person names them: `KIND` or `KIND:name=value,…`.
extension MaskGenerator {
  public enum Kind: String, CaseIterable, Sendable {
    case strokes, thin, medium, thick, squares, boxes, area, center, mixed, outpaint, superres
    case object, label, silhouette, shape

    public var summary: String {
      switch self {
      case .strokes: "chains of brush strokes; length, width, angle, times"
      case .thin, .medium, .thick: "LaMa's evaluation strokes, at most half of the picture"
      case .squares: "squares along such chains; length, width, angle, times"
      case .boxes: "boxes; margin, sides, times"
      case .area: "one box of a tenth to a third of the picture"
      case .center: "the middle square, 22.5 % of the picture"
      case .mixed: "kinds with weights; LFM's: strokes=1,boxes=1; invert"
      case .outpaint: "bands along edges; padding"
      case .superres: "all but a lattice; steps, widths"
      case .object: "a connected region of the label map; areas, grow"
      case .label: "all of a label, label=3, or one that is drawn; areas, grow"
      case .silhouette: "the outline of an object elsewhere; areas, grow"
      case .shape: "a part of what the label map shows; hidden"
      }
    }
  }

  /// LaMa's bound on the holes of its evaluation.
  public static let largestEvaluated = Double.leastNonzeroMagnitude...0.5

  /// - Parameters:
  ///   - text: `thick`, `boxes:sides=30-150,times=1-3`, `mixed:strokes=0.5,boxes=0.3,invert=0.1`.
  ///   - option: names it in messages.
  /// - Throws: `.usage` for a kind, a name or a value that there is not.
  public init(_ text: String, option: String = "--kind") throws {
    let colon = text.firstIndex(of: ":") ?? text.endIndex
    let name = String(text[..<colon])
    guard let kind = Kind(rawValue: name) else {
      let known = Kind.allCases.map(\.rawValue)
      throw UserError(
        .usage, option, found: "«\(name)»", expected: known.joined(separator: ", "),
        advice: nearestName(to: name, among: known).map { "did you mean \($0)?" })
    }
    var values = try MaskValues(text[colon...].dropFirst(), kind: kind, option: option)
    self = try Self.make(kind, &values)
    try values.requireEmpty()
  }

  private static func make(_ kind: Kind, _ values: inout MaskValues) throws -> MaskGenerator {
    switch kind {
    case .strokes: return .strokes(try strokes(StrokeMasks(), &values))
    case .thin: return .bounded(.strokes(try strokes(.thin, &values)), areas: largestEvaluated)
    case .medium:
      // LaMa: strokes 1, boxes 0.3.
      let boxes = BoxMasks(margin: 0, sides: 10...50, times: 1...5)
      return evaluated(try strokes(.medium, &values), boxes)
    case .thick:
      let boxes = BoxMasks(margin: 10, sides: 30...150, times: 1...3)
      return evaluated(try strokes(.thick, &values), boxes)
    case .squares: return .strokes(try strokes(StrokeMasks(brush: .square), &values))
    case .boxes:
      let standard = BoxMasks()
      return .boxes(
        BoxMasks(
          margin: try values.integer("margin", 0...1024) ?? standard.margin,
          sides: try values.integers("sides", 1...4096) ?? standard.sides,
          times: try values.integers("times", 0...1000) ?? standard.times))
    case .area: return .areaBox(AreaBoxMasks(isCentered: false))
    case .center: return .areaBox(AreaBoxMasks(isCentered: true))
    case .mixed: return try mixture(&values)
    case .outpaint:
      return .outpainting(
        OutpaintingMasks(padding: try values.shares("padding") ?? OutpaintingMasks().padding))
    case .superres:
      let standard = SuperResolutionMasks()
      return .superResolution(
        SuperResolutionMasks(
          steps: try values.integers("steps", 2...64) ?? standard.steps,
          widths: try values.integers("widths", 1...63) ?? standard.widths))
    case .object: return .segments(try segments(.object, &values))
    case .label:
      let label = try values.integer("label", 0...254).map { UInt8($0) }
      return .segments(try segments(.label(label), &values))
    case .silhouette: return .segments(try segments(.silhouette, &values))
    case .shape:
      return .partialShape(
        PartialShapeMasks(hidden: try values.shares("hidden") ?? PartialShapeMasks().hidden))
    }
  }

  private static func evaluated(_ strokes: StrokeMasks, _ boxes: BoxMasks) -> MaskGenerator {
    .bounded(
      .mixed([Part(.strokes(strokes), weight: 1), Part(.boxes(boxes), weight: 0.3)], inversion: 0),
      areas: largestEvaluated)
  }

  private static func strokes(
    _ standard: StrokeMasks, _ values: inout MaskValues
  ) throws -> StrokeMasks {
    StrokeMasks(
      brush: standard.brush,
      maximumAngle: try values.integer("angle", 1...360) ?? standard.maximumAngle,
      maximumLength: try values.integer("length", 1...4096) ?? standard.maximumLength,
      maximumWidth: try values.integer("width", 1...4096) ?? standard.maximumWidth,
      times: try values.integers("times", 0...1000) ?? standard.times)
  }

  private static func segments(
    _ subject: SegmentMasks.Subject, _ values: inout MaskValues
  ) throws -> SegmentMasks {
    let standard = SegmentMasks(subject)
    let areas = try values.shares("areas").map { Double($0.lowerBound)...Double($0.upperBound) }
    return SegmentMasks(
      subject, areas: areas ?? standard.areas,
      growth: try values.integer("grow", 0...256) ?? standard.growth)
  }

  /// Any kinds but mixtures, with their weights.
  private static func mixture(_ values: inout MaskValues) throws -> MaskGenerator {
    let inversion = try values.number("invert", 0...1) ?? 0
    var parts: [Part] = []
    for kind in Kind.allCases where kind != .mixed {
      guard let weight = try values.number(kind.rawValue, 0...1_000_000), weight > 0 else {
        continue
      }
      parts.append(Part(try MaskGenerator(kind.rawValue, option: values.option), weight: weight))
    }
    if parts.isEmpty {
      parts = [
        Part(.strokes(StrokeMasks()), weight: 1), Part(.boxes(BoxMasks()), weight: 1),
      ]
    }
    return .mixed(parts, inversion: inversion)
  }
}

/// `name=value,…`, taken one by one.
private struct MaskValues {
  let kind: MaskGenerator.Kind
  let option: String
  private var values: [String: Substring] = [:]

  init(_ text: Substring, kind: MaskGenerator.Kind, option: String) throws {
    (self.kind, self.option) = (kind, option)
    for word in text.split(separator: ",") {
      let parts = word.split(separator: "=", omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw UserError(.usage, option, found: "«\(word)»", expected: "name=value")
      }
      values[String(parts[0])] = parts[1]
    }
  }

  mutating func integer(_ name: String, _ allowed: ClosedRange<Int>) throws -> Int? {
    guard let text = values.removeValue(forKey: name) else { return nil }
    guard let value = Int(text), allowed.contains(value) else {
      throw wrong(name, text, "a whole number from \(allowed.lowerBound) to \(allowed.upperBound)")
    }
    return value
  }

  mutating func number(_ name: String, _ allowed: ClosedRange<Float>) throws -> Float? {
    guard let text = values.removeValue(forKey: name) else { return nil }
    guard let value = Float(text), allowed.contains(value) else {
      throw wrong(name, text, "a number from \(allowed.lowerBound) to \(allowed.upperBound)")
    }
    return value
  }

  /// `a-b`, or one number for both.
  mutating func integers(_ name: String, _ allowed: ClosedRange<Int>) throws -> ClosedRange<Int>? {
    guard let text = values.removeValue(forKey: name) else { return nil }
    let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
    guard (1...2).contains(ends.count), let low = ends[0], let high = ends[ends.count - 1],
      low <= high, allowed.contains(low), allowed.contains(high)
    else {
      throw wrong(
        name, text,
        "whole numbers from \(allowed.lowerBound) to \(allowed.upperBound), as 1-3")
    }
    return low...high
  }

  /// Shares of 1, as 0.25-0.5.
  mutating func shares(_ name: String) throws -> ClosedRange<Float>? {
    guard let text = values.removeValue(forKey: name) else { return nil }
    let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { Float($0) }
    guard (1...2).contains(ends.count), let low = ends[0], let high = ends[ends.count - 1],
      low <= high, low >= 0, high <= 1
    else { throw wrong(name, text, "shares from 0 to 1, as 0.25-0.5") }
    return low...high
  }

  func requireEmpty() throws {
    guard let name = values.keys.sorted().first else { return }
    throw UserError(
      .usage, option, found: "«\(name)» of the kind \(kind.rawValue)", expected: kind.summary)
  }

  private func wrong(_ name: String, _ text: Substring, _ expected: String) -> UserError {
    UserError(.usage, option, at: name, found: "«\(text)»", expected: expected)
  }
}
