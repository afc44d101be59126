import FlowCore
import FlowData

/// The squared Wasserstein-2 distance between two sets of as many pictures each, pixels in
/// [−1, 1]: the least mean ‖a − b‖² over all ways to pair them. Of two samples of one distribution
/// it is above 0, the more so the fewer they are.
///
/// - Parameters: a, b: pictures of one size
public func squaredTransportDistance(_ a: [ImageBuffer], _ b: [ImageBuffer]) -> Double {
  precondition(a.count == b.count && !a.isEmpty, "\(a.count) pictures against \(b.count)")
  let n = a.count
  let unit = (2.0 / 255) * (2.0 / 255)
  var cost = [Double](repeating: 0, count: n * n)
  for i in 0..<n {
    for j in 0..<n { cost[i * n + j] = unit * Double(squaredDifference(a[i], b[j])) }
  }
  let columns = leastCostAssignment(cost, count: n)
  return (0..<n).reduce(0.0) { $0 + cost[$1 * n + columns[$1]] } / Double(n)
}

/// In levels.
private func squaredDifference(_ a: ImageBuffer, _ b: ImageBuffer) -> Int {
  precondition(a.size == b.size, "pictures of \(a.sizeText) and \(b.sizeText)")
  return a.pixels.withUnsafeBufferPointer { a in
    b.pixels.withUnsafeBufferPointer { b in
      var sum: Int64 = 0
      for i in 0..<a.count {
        let difference = Int32(a[i]) - Int32(b[i])
        sum &+= Int64(difference &* difference)
      }
      return Int(sum)
    }
  }
}
