import FlowMetrics
import FlowTensor
import Foundation
import Worker

/// Figures of completed pictures by the area of their holes: what `inpaint --report` and
/// `evaluate-inpainting` write. Nothing in it depends on ranks or on the time of day.
struct InpaintingReport: Codable, Equatable {
  /// Pictures with holes of some areas.
  struct Group: Codable, Equatable {
    /// Shares of the picture; the last group includes its upper end.
    var from: Double
    var to: Double
    var count: Int
    /// By name; a figure that these pictures do not have is not there.
    var figures: [String: Double]
  }

  var all: Group
  /// Ten of a tenth each.
  var areas: [Group]
  var provenance: InpaintingProvenance

  init(
    _ measured: InpaintingMeasurements, distanceName: String, provenance: InpaintingProvenance
  ) {
    let figures = GroupFigures(measured, distanceName: distanceName)
    let bins = MaskAreas()
    let members = bins.indices(of: measured.pairs.map(\.area))
    all = Group(
      from: bins.bounds[0], to: bins.bounds[bins.bounds.count - 1], count: measured.pairs.count,
      figures: figures(Array(measured.pairs.indices)))
    areas = members.enumerated().map { i, pairs in
      Group(
        from: bins.bounds[i], to: bins.bounds[i + 1], count: pairs.count, figures: figures(pairs))
    }
    self.provenance = provenance
  }

  var json: String { reportJSON(self) }

  /// For a person: a row for each area that has pictures, then all.
  func text(_ file: String?) -> String {
    let names = all.figures.keys.sorted()
    var table = TextTable(rightAligned: Set(1...names.count + 1))
    table.append(["hole", "pictures"] + names.map(Self.shortName))
    func row(_ name: String, _ group: Group) {
      table.append(
        [name, "\(group.count)"]
          + names.map { group.figures[$0].map { String(format: "%.4g", $0) } ?? "–" })
    }
    for group in areas where group.count > 0 {
      row(String(format: "%.0f–%.0f %%", 100 * group.from, 100 * group.to), group)
    }
    row("all", all)
    let p = provenance
    return table.text()
      + "\(p.results) against \(p.originals), masks \(p.masks); \(p.features ?? "no features"); "
      + "LPIPS: \(p.perceptual ?? "none")\n" + (file.map { "all of it: \($0)\n" } ?? "")
  }

  private static func shortName(_ name: String) -> String {
    name.hasPrefix("Fréchet distance") ? "Fréchet" : name
  }
}

/// What the figures of an inpainting depend on.
struct InpaintingProvenance: Codable, Equatable {
  var results: String
  var originals: String
  var masks: String
  /// SHA-256 over names and contents of all three.
  var picturesHash: String
  var count: Int
  /// How the originals were brought to the size of the results.
  var size: Int?
  var features: String?
  var featuresHash: String?
  /// The backbone of LPIPS.
  var perceptual: String?
  var perceptualHash: String?
  /// What P-IDS and U-IDS are.
  var discrimination = "one linear SVM on all pairs, each original with its own completion"
  var threadsPerRank: Int
  var version: String
}

/// Figures of some of the pairs.
private struct GroupFigures {
  let measured: InpaintingMeasurements
  let discrimination: InceptionDiscrimination?
  let distanceName: String

  init(_ measured: InpaintingMeasurements, distanceName: String) {
    (self.measured, self.distanceName) = (measured, distanceName)
    if let real = measured.real, let fake = measured.fake {
      discrimination = InceptionDiscrimination(real: real, fake: fake)
    } else {
      discrimination = nil
    }
  }

  func callAsFunction(_ pairs: [Int]) -> [String: Double] {
    guard !pairs.isEmpty else { return [:] }
    let chosen = pairs.map { measured.pairs[$0] }
    var figures = [
      "L1": mean(chosen.map(\.absoluteError)),
      "PSNR": mean(chosen.map(\.peakSignalToNoise)),
      "SSIM": mean(chosen.map(\.structuralSimilarity)),
    ]
    let distances = chosen.compactMap(\.perceptualDistance)
    if !distances.isEmpty { figures["LPIPS"] = mean(distances) }
    if let discrimination {
      figures["P-IDS"] = discrimination.paired(among: pairs)
      figures["U-IDS"] = discrimination.unpaired(among: pairs)
    }
    if pairs.count > 1, let real = measured.real, let fake = measured.fake {
      figures[distanceName] = frechetDistance(moments(fake, pairs), moments(real, pairs))
    }
    // A picture that equals its original has an infinite PSNR, and so has the mean.
    return figures.filter { $0.value.isFinite }
  }

  private func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

  private func moments(_ features: Tensor, _ pairs: [Int]) -> FeatureMoments {
    let d = features.shape[1]
    let rows = Tensor(uninitialized: [pairs.count, d])
    for (i, pair) in pairs.enumerated() {
      (rows.base + i * d).update(from: features.base + pair * d, count: d)
    }
    return momentsOf(rows)
  }
}
