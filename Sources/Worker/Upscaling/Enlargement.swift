import FlowData
import FlowTensor

/// How much longer the sides of a picture become: a fraction in lowest terms.
public struct Enlargement: Equatable, Sendable, CustomStringConvertible {
  public let high: Int
  public let low: Int

  public init(from low: Int, to high: Int) {
    precondition(low > 0 && high > 0, "an enlargement from \(low) to \(high)")
    var (a, b) = (high, low)
    while b > 0 { (a, b) = (b, a % b) }
    (self.high, self.low) = (high / a, low / a)
  }

  /// A side after it, rounded down.
  public func applied(to side: Int) -> Int { side * high / low }

  /// One after the other.
  public static func * (a: Enlargement, b: Enlargement) -> Enlargement {
    Enlargement(from: a.low * b.low, to: a.high * b.high)
  }

  public var description: String { low == 1 ? "\(high)" : "\(high)/\(low)" }
}

extension ImageSize {
  public func enlarged(_ e: Enlargement) -> ImageSize {
    ImageSize(width: e.applied(to: width), height: e.applied(to: height))
  }

  public var shortSide: Int { min(width, height) }
}

/// Which latents a network takes.
public enum LatentExtents: Equatable, Sendable {
  /// Those whose sides are multiples of a number.
  case multiples(of: Int)
  /// Those that it was trained on: its positions, or its checks, are made for them.
  case exactly(height: Int, width: Int)
}

extension NetworkSpecification {
  public var latentExtents: LatentExtents {
    switch self {
    case .efficient(let c): .multiples(of: c.downsamplingFactor)
    case .adm(let c): .multiples(of: c.downsamplingFactor)
    case .dit, .dhariwal, .song, .layout:
      .exactly(height: latentShape[0], width: latentShape[1])
    }
  }
}

/// A batch whose last row and column are repeated until it measures `height` × `width`.
///
/// - Parameter x: [B, H, W, C]
/// - Returns: [B, height, width, C]
func edgePadded(_ x: Tensor, height: Int, width: Int) -> Tensor {
  let (b, h, w, c) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
  precondition(height >= h && width >= w, "padding \(x.shape) to \(height) × \(width)")
  guard height > h || width > w else { return x }
  let y = Tensor(uninitialized: [b, height, width, c])
  for index in 0..<b * height {
    let (sample, row) = (index / height, index % height)
    let source = x.base + (sample * h + min(row, h - 1)) * w * c
    let line = y.base + index * width * c
    line.update(from: source, count: w * c)
    for column in w..<width {
      (line + column * c).update(from: source + (w - 1) * c, count: c)
    }
  }
  return y
}
