import Diagnostics
import FlowData
import FlowMetrics
import FlowTensor
import Foundation
import Worker

/// What samples are compared with: stored moments, or the features of real images.
struct ReferenceStatistics {
  let path: String
  /// SHA-256 of the statistics file; of a data set, its fingerprint.
  let hash: String
  let moments: FeatureMoments
  /// [N, D]; nil where only moments are known.
  let features: Tensor?
  /// Pictures; nil where only moments are known.
  let count: Int?

  /// Whether a reference is a file of moments rather than a data set.
  static func isFile(_ path: String) -> Bool {
    ["npz", "npy", "safetensors"].contains { path.lowercased().hasSuffix("." + $0) }
  }

  /// A file with `mu` and `sigma`: pytorch-fid's .npz, LFM's .npy, or safetensors.
  ///
  /// - Throws: `UserError` of status `badData` for statistics of another dimension, with numbers
  ///   that are not finite, or whose covariance is none.
  init(file path: String, dimension: Int) throws {
    let file = try TensorFile.open(path)
    self.path = path
    for name in ["mu", "sigma"] where !file.contains(name) {
      throw UserError(
        .badData, path,
        found: "no array \(name), but \(file.names.prefix(6).joined(separator: ", "))",
        expected: "mu [\(dimension)] and sigma [\(dimension), \(dimension)]")
    }
    let (mu, sigma) = (try file.doubles("mu"), try file.doubles("sigma"))
    guard sigma.count == mu.count * mu.count else {
      throw UserError(
        .badData, path, at: "sigma", found: "shape \(try file.shape("sigma"))",
        expected: "[\(mu.count), \(mu.count)], as mu has it")
    }
    // Files do not say how many images they were made from.
    moments = FeatureMoments(count: 0, mean: mu, covariance: sigma)
    try validateStatistics(moments, dimension: dimension, file: path)
    hash = try sha256Hex(ofFile: path)
    (features, count) = (nil, nil)
  }

  init(path: String, hash: String, features: Tensor, count: Int) {
    (self.path, self.hash, self.features, self.count) = (path, hash, features, count)
    moments = momentsOf(features)
  }
}

/// Moments of [N, D], summed in blocks in index order.
func momentsOf(_ features: Tensor) -> FeatureMoments {
  var stream = MomentStream(dimension: features.shape[1])
  stream.append(features)
  return stream.moments()
}

extension RowFile {
  /// Features of all rows, [N, D], and the evaluations of each.
  func features(dimension: Int) throws -> (features: Tensor, evaluations: [Int]) {
    let result = Tensor(uninitialized: [count, dimension])
    var evaluations: [Int] = []
    for first in stride(from: 0, to: count, by: 4096) {
      let rows = first..<min(first + 4096, count)
      let (part, counts) = FeatureRow.unpack(try read(rows), dimension: dimension)
      (result.base + first * dimension).update(from: part, count: part.count)
      evaluations += counts
    }
    return (result, evaluations)
  }
}
