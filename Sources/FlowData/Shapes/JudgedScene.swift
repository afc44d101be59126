/// A picture taken apart into ground and what stands out from it.
struct JudgedScene {
  let width: Int
  let height: Int
  /// Levels by which the foreground differs from the ground.
  let contrast: Float
  private let picture: ImageBuffer
  /// Per pixel: distance from the ground in levels, [height, width].
  private let distances: [Float]
  /// Per pixel: how much of it the foreground covers, 0...1, [height, width].
  private let shares: [Float]

  init(_ picture: ImageBuffer, _ ground: GroundPlane) {
    self.picture = picture
    let (width, height) = (picture.width, picture.height)
    (self.width, self.height) = (width, height)
    var distances = [Float](repeating: 0, count: width * height)
    for y in 0..<height {
      for x in 0..<width {
        distances[y * width + x] = ground.distance(picture[x, y], x: x, y: y)
      }
    }
    self.distances = distances
    // The smallest shape covers more than 6 % of a picture: the 96th percentile is inside it.
    contrast = percentile(0.96, of: distances)
    var (color, behind, count) = (SIMD3<Float>.zero, SIMD3<Float>.zero, Float(0))
    for i in distances.indices where distances[i] > 0.7 * contrast {
      color += SIMD3<Float>(picture[i % width, i / width])
      behind += ground.color(x: i % width, y: i / width)
      count += 1
    }
    let step = (color - behind) / max(1, count)
    let scale = 1 / max(1, (step * step).sum())
    shares = distances.indices.map { i in
      let (x, y) = (i % width, i / width)
      let d = SIMD3<Float>(picture[x, y]) - ground.color(x: x, y: y)
      return max(0, min(1, (d * step).sum() * scale))
    }
  }

  /// The largest connected set of pixels that are at least half covered, and its surroundings.
  func largestPatch() -> JudgedPatch {
    let members = largestComponent()
    // Half-covered neighbours belong to the patch: shares count within two pixels of it.
    let near = grown(members, by: 2)
    let inner = shrunkByOne(members)
    var patch = JudgedPatch(width: width, height: height)
    // Steeper about one half: the outline stands where it stood before a slight blur.
    patch.shares = shares.indices.map {
      near[$0] ? max(0, min(1, 3 * (shares[$0] - 0.5) + 0.5)) : 0
    }
    patch.area = Float(members.lazy.filter { $0 }.count)
    let outline = patch.area - Float(inner.lazy.filter { $0 }.count)
    var softArea: Float = 0
    var (groundSquares, groundCount) = (Float(0), Float(0))
    let stray = max(24, 0.35 * contrast)
    for i in shares.indices {
      if near[i] {
        if shares[i] > 0.2 && shares[i] < 0.8 { softArea += 1 }
      } else if distances[i] > stray {
        patch.strayArea += 1
      } else {
        groundSquares += distances[i] * distances[i]
        groundCount += 1
      }
    }
    patch.edgeWidth = softArea / max(1, outline)
    patch.groundNoise = (groundSquares / max(1, groundCount)).squareRoot()
    patch.setColor(picture, inner)
    patch.setMoments()
    return patch
  }

  private func largestComponent() -> [Bool] {
    var component = [Int32](repeating: 0, count: shares.count)
    var (best, bestSize, number) = (Int32(0), 0, Int32(0))
    var stack: [Int] = []
    for start in shares.indices where shares[start] >= 0.5 && component[start] == 0 {
      number += 1
      var size = 0
      component[start] = number
      stack.append(start)
      while let i = stack.popLast() {
        size += 1
        let (x, y) = (i % width, i / width)
        for (nx, ny) in [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)] {
          guard nx >= 0, ny >= 0, nx < width, ny < height else { continue }
          let j = ny * width + nx
          if shares[j] >= 0.5 && component[j] == 0 {
            component[j] = number
            stack.append(j)
          }
        }
      }
      if size > bestSize { (best, bestSize) = (number, size) }
    }
    return component.map { $0 == best && best > 0 }
  }

  /// With all pixels whose row and column are within `steps` of a member's.
  private func grown(_ members: [Bool], by steps: Int) -> [Bool] {
    var result = members
    for y in 0..<height {
      for x in 0..<width where members[y * width + x] {
        for ny in max(0, y - steps)...min(height - 1, y + steps) {
          for nx in max(0, x - steps)...min(width - 1, x + steps) { result[ny * width + nx] = true }
        }
      }
    }
    return result
  }

  /// Without the members that have a neighbour outside.
  private func shrunkByOne(_ members: [Bool]) -> [Bool] {
    members.indices.map { i in
      let (x, y) = (i % width, i / width)
      guard members[i], x > 0, y > 0, x < width - 1, y < height - 1 else { return false }
      return members[i - 1] && members[i + 1] && members[i - width] && members[i + width]
    }
  }
}

/// The value below which `share` of `values` (levels, 0...255) lie, to one level.
private func percentile(_ share: Float, of values: [Float]) -> Float {
  var histogram = [Int](repeating: 0, count: 257)
  for value in values { histogram[Int(min(256, value))] += 1 }
  var remaining = Int(share * Float(values.count))
  for (level, count) in histogram.enumerated() {
    remaining -= count
    if remaining < 0 { return Float(level) }
  }
  return 256
}

/// What stands out, measured.
struct JudgedPatch {
  let width: Int
  let height: Int
  /// Coverage by the patch, 0 away from it: [height, width].
  var shares: [Float] = []
  /// Pixels at least half covered.
  var area: Float = 0
  /// Pixels away from the patch that stand out from the ground too.
  var strayArea: Float = 0
  /// Pixels covered by between 20 and 80 %, per pixel of the outline.
  var edgeWidth: Float = 0
  /// Root mean square distance of the ground's pixels from its plane, in levels.
  var groundNoise: Float = 0
  /// Mean colour inside, in [0, 1], and root mean square deviation from it, in levels.
  var color = SIMD3<Float>.zero
  var colorNoise: Float = 0
  /// Sum of shares, and their centre in pixels.
  var mass: Float = 0
  var center = SIMD2<Float>.zero

  init(width: Int, height: Int) {
    self.width = width
    self.height = height
  }

  mutating func setColor(_ picture: ImageBuffer, _ inner: [Bool]) {
    var (sum, squares, count) = (SIMD3<Float>.zero, SIMD3<Float>.zero, Float(0))
    for i in inner.indices where inner[i] {
      let p = SIMD3<Float>(picture[i % width, i / width])
      (sum, squares, count) = (sum + p, squares + p * p, count + 1)
    }
    let mean = sum / max(1, count)
    color = mean / 255
    let variance = squares / max(1, count) - mean * mean
    colorNoise = max(0, variance.sum() / 3).squareRoot()
  }

  mutating func setMoments() {
    var moment = SIMD2<Float>.zero
    for i in shares.indices {
      mass += shares[i]
      moment += shares[i] * SIMD2(Float(i % width) + 0.5, Float(i / width) + 0.5)
    }
    center = moment / max(1, mass)
  }
}
