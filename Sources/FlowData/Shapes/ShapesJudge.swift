/// Says which class of the shapes set a picture shows, from its pixels alone, or that it shows
/// none.
///
/// Nothing is trained. The ground is a plane of colour fitted to the border; what differs from it
/// is the foreground; that must be one patch, of one colour, sharp at its edge; the colour must lie
/// near one of the four; the patch must cover one of the four outlines of its area, placed on its
/// centroid, better than any other, in a rotation near those of the set. Whatever fails a step is
/// none of the classes, and the verdict names the step.
public struct ShapesJudge: Sendable {
  public struct Verdict: Equatable, Sendable {
    /// nil: none of the classes.
    public var label: Int?
    /// Intersection over union with the best outline, 0 where it did not come to that.
    public var overlap: Double
    /// `overlap` less that of the best outline of another shape.
    public var margin: Double
    /// Why not; nil if there is a label.
    public var rejection: Rejection?

    /// From 0, no class or a toss-up between two, to 1.
    public var confidence: Double {
      label == nil ? 0 : min(1, max(0, overlap) * min(1, margin / 0.15))
    }

    static func none(_ reason: Rejection, overlap: Double = 0, margin: Double = 0) -> Verdict {
      Verdict(label: nil, overlap: overlap, margin: margin, rejection: reason)
    }
  }

  public enum Rejection: String, Equatable, Sendable, CaseIterable {
    case tooSmall = "the image has fewer than 16 pixels on a side"
    case noForeground = "nothing stands out from the ground"
    case unquietGround = "the ground is not a quiet plane of colour"
    case wrongArea = "what stands out is too small or too large"
    case severalPatches = "more than one patch stands out"
    case blurredEdge = "the edge is smeared"
    case mixedColor = "the patch is not of one colour"
    case unknownColor = "the colour is none of the four"
    case unknownShape = "the outline is none of the four"
  }

  /// Larger pictures are judged at this side.
  private static let workingSide = 64
  /// Thresholds, set so that drawn pictures pass after two 3×3 blurs with noise of 8 levels.
  /// Contrast and noise are in levels of 255, root mean square over the channels; area is a share
  /// of the picture's, stray area of the patch's; colours are in the unit cube.
  private enum Limit {
    static let contrast: Float = 42
    static let groundNoise: Float = 16
    static let area: ClosedRange<Float> = 0.055...0.42
    static let strayArea: Float = 0.08
    static let colorNoise: Float = 22
    static let colorDistance: Float = 0.26
    static let colorRatio: Float = 1.5
    /// Width of the edge from 20 to 80 % cover, as a share of the picture's side.
    static let edgeWidth: Float = 0.05
    static let margin: Float = 0.06

    /// The rounder the outline, the better chance patches fit it.
    static func overlap(_ kind: ShapeKind) -> Float {
      switch kind {
      case .circle: 0.93
      case .square: 0.91
      case .triangle: 0.89
      case .star: 0.86
      }
    }
  }

  private let templates = ShapeTemplates()

  public init() {}

  public func judge(_ image: ImageBuffer) -> Verdict { examine(image).verdict }

  /// The verdict, and what stands out where anything does.
  func examine(_ image: ImageBuffer) -> (verdict: Verdict, patch: JudgedPatch?) {
    guard min(image.width, image.height) >= 16 else { return (.none(.tooSmall), nil) }
    let picture = shrunk(image)
    guard let ground = GroundPlane(picture) else { return (.none(.unquietGround), nil) }
    let scene = JudgedScene(picture, ground)
    guard scene.contrast >= Limit.contrast else { return (.none(.noForeground), nil) }
    let patch = scene.largestPatch()
    return (verdict(patch, in: picture), patch)
  }

  private func verdict(_ patch: JudgedPatch, in picture: ImageBuffer) -> Verdict {
    guard Limit.area.contains(patch.area / Float(picture.width * picture.height)) else {
      return .none(.wrongArea)
    }
    guard patch.strayArea <= Limit.strayArea * patch.area else { return .none(.severalPatches) }
    guard patch.groundNoise <= Limit.groundNoise else { return .none(.unquietGround) }
    let side = Float(max(picture.width, picture.height))
    guard patch.edgeWidth <= Limit.edgeWidth * side else { return .none(.blurredEdge) }
    guard patch.colorNoise <= Limit.colorNoise else { return .none(.mixedColor) }
    guard let color = nearestColor(to: patch.color) else { return .none(.unknownColor) }

    let matches = templates.overlaps(with: patch)
    let best = matches.indices.max { matches[$0] < matches[$1] }!
    let second = matches.indices.filter { $0 != best }.map { matches[$0] }.max()!
    let (overlap, margin) = (Double(matches[best]), Double(matches[best] - second))
    let kind = ShapeKind.allCases[best]
    guard matches[best] >= Limit.overlap(kind), matches[best] - second >= Limit.margin else {
      return .none(.unknownShape, overlap: overlap, margin: margin)
    }
    let label = ShapeClass(kind, color).label
    return Verdict(label: label, overlap: overlap, margin: margin, rejection: nil)
  }

  private func shrunk(_ image: ImageBuffer) -> ImageBuffer {
    let side = max(image.width, image.height)
    guard side > Self.workingSide else { return image }
    let scaled = { (length: Int) in max(1, (length * Self.workingSide + side / 2) / side) }
    return image.resized(width: scaled(image.width), height: scaled(image.height), .bilinear)
  }

  /// The colour of the set next to `color` (in [0, 1]), if that is near and no other nearly so.
  private func nearestColor(to color: SIMD3<Float>) -> ShapeColor? {
    let ranked = ShapeColor.allCases.map { candidate -> (ShapeColor, Float) in
      let d = candidate.rgb - color
      return (candidate, (d * d).sum().squareRoot())
    }.sorted { $0.1 < $1.1 }
    guard ranked[0].1 <= Limit.colorDistance, ranked[1].1 >= Limit.colorRatio * ranked[0].1 else {
      return nil
    }
    return ranked[0].0
  }
}
