/// The four outlines of the shapes set.
public enum ShapeKind: Int, CaseIterable, Sendable {
  case circle, square, triangle, star

  public var name: String {
    switch self {
    case .circle: "circle"
    case .square: "square"
    case .triangle: "triangle"
    case .star: "star"
    }
  }

  /// Farthest point from the centre for radius 1. Radii are chosen so that the shapes look equally
  /// large: the areas lie between 2.0 and 3.2.
  var reach: Float {
    switch self {
    case .circle: 1
    case .square: 1.25
    case .triangle: 1.25
    case .star: 1.3
    }
  }

  /// Corners for radius 1 around the centroid, upright, y downwards, in the order of the outline;
  /// none for the circle.
  var corners: [SIMD2<Float>] {
    switch self {
    case .circle: []
    case .square: regularPolygon(radii: [reach], count: 4, start: -.pi / 4)
    case .triangle: regularPolygon(radii: [reach], count: 3, start: -.pi / 2)
    case .star: regularPolygon(radii: [reach, 0.45 * reach], count: 10, start: -.pi / 2)
    }
  }
}

/// Corners at equal angles, with the radii in turn.
private func regularPolygon(radii: [Float], count: Int, start: Float) -> [SIMD2<Float>] {
  (0..<count).map { i in
    let angle = start + 2 * .pi * Float(i) / Float(count)
    return radii[i % radii.count] * SIMD2(cosine(angle), sine(angle))
  }
}

/// The four colours of the shapes set.
public enum ShapeColor: Int, CaseIterable, Sendable {
  case red, green, blue, yellow

  public var name: String {
    switch self {
    case .red: "red"
    case .green: "green"
    case .blue: "blue"
    case .yellow: "yellow"
    }
  }

  /// The middle of the colours that are drawn, in [0, 1].
  var rgb: SIMD3<Float> {
    switch self {
    case .red: SIMD3(0.86, 0.15, 0.15)
    case .green: SIMD3(0.14, 0.68, 0.24)
    case .blue: SIMD3(0.15, 0.30, 0.88)
    case .yellow: SIMD3(0.95, 0.83, 0.12)
    }
  }
}

/// One of the 16 classes: label = 4 · shape + colour.
public struct ShapeClass: Equatable, Sendable, CustomStringConvertible {
  public static let count = ShapeKind.allCases.count * ShapeColor.allCases.count
  /// "red circle", "green circle", …, by label.
  public static let names = (0..<count).map { ShapeClass(label: $0).description }

  public var kind: ShapeKind
  public var color: ShapeColor

  public init(_ kind: ShapeKind, _ color: ShapeColor) {
    self.kind = kind
    self.color = color
  }

  public init(label: Int) {
    precondition(0..<Self.count ~= label, "label \(label) of \(Self.count) shape classes")
    kind = ShapeKind.allCases[label / ShapeColor.allCases.count]
    color = ShapeColor.allCases[label % ShapeColor.allCases.count]
  }

  public var label: Int { kind.rawValue * ShapeColor.allCases.count + color.rawValue }
  public var description: String { "\(color.name) \(kind.name)" }
}
