/// How well pictures of the shapes set show the label maps that they were drawn after, from their
/// pixels alone.
public struct ClassMapAgreement: Equatable, Sendable {
  /// Pixels of the shapes, as the given maps have them.
  public private(set) var shapePixels = 0
  /// Those of them whose judged class, shape and colour, is the given one.
  public private(set) var agreeing = 0
  /// Pixels that are of a shape in both maps, and in at least one.
  private var common = 0
  private var either = 0
  public private(set) var pictures = 0
  /// Pictures that the judge takes for the class of their map.
  public private(set) var rightClass = 0
  /// Of each picture, the share of its shape's pixels that agree.
  public private(set) var shares: [Double] = []

  public init() {}

  /// Over all pixels of shapes.
  public var agreement: Double { Double(agreeing) / Double(max(1, shapePixels)) }
  /// Intersection over union of what is a shape, whatever its class.
  public var overlap: Double { Double(common) / Double(max(1, either)) }

  /// - Parameters:
  ///   - given: 0 on the ground, 1 + label on the shape.
  ///   - judged: of the same size.
  public mutating func add(given: LabelMap, judged: LabelMap) {
    precondition(
      given.width == judged.width && given.height == judged.height,
      "maps of \(given.width)×\(given.height) and \(judged.width)×\(judged.height)")
    var (shape, same) = (0, 0)
    for (wanted, found) in zip(given.labels, judged.labels) {
      if wanted > 0 || found > 0 { either += 1 }
      guard wanted > 0 else { continue }
      shape += 1
      if found > 0 { common += 1 }
      if found == wanted { same += 1 }
    }
    shapePixels += shape
    agreeing += same
    pictures += 1
    if same > 0 { rightClass += 1 }
    shares.append(Double(same) / Double(max(1, shape)))
  }
}

extension ShapesJudge {
  /// The class of every pixel as the judge sees it: 1 + label where the shape covers at least half
  /// of the pixel, 0 elsewhere; 0 throughout where it sees none of the classes. Pictures that are
  /// larger than it works on get pixels of its working size.
  public func classMap(_ image: ImageBuffer) -> LabelMap {
    var map = LabelMap(
      width: image.width, height: image.height,
      labels: [UInt8](repeating: 0, count: image.width * image.height))
    let (verdict, patch) = examine(image)
    guard let label = verdict.label, let patch else { return map }
    for y in 0..<map.height {
      let row = y * patch.height / map.height * patch.width
      for x in 0..<map.width where patch.shares[row + x * patch.width / map.width] >= 0.5 {
        map.labels[y * map.width + x] = UInt8(1 + label)
      }
    }
    return map
  }
}
