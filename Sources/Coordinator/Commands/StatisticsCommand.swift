import ArgumentParser
import Diagnostics
import FlowData
import FlowMetrics
import FlowTensor
import Foundation
import Worker

/// `latentflow statistics`
struct StatisticsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "statistics",
    abstract: "Mean and covariance of a data set's features, over all ranks; resumable.",
    discussion: """
      The file holds mu and sigma as pytorch-fid's do, and is read by it; a name that ends in .npy
      gives LFM's form, a pickled dictionary. Pictures are taken as they
      are, without flips. A run that was killed goes on where it stopped (--work).

      Example:
        scripts/run.sh 2 latentflow statistics data/celeba --size 256 \\
          --inception pt_inception-2015-12-05.pth --out celeba.npz
      """)

  /// Pictures of one work item.
  static let itemSize = 32

  @Argument(help: "A data set: a folder of images, or any other source.")
  var data: String
  @Option(help: "The file to write: .npz, or .npy for LFM.")
  var out: String
  @Option(help: "Crop and scale all pictures to this side in pixels.")
  var size: Int?
  @Option(help: "Use only the first pictures, this many.")
  var count: Int?
  @Option(help: "Folder of finished items. (default: OUT.work)")
  var work: String?
  @OptionGroup var judging: FeatureOptions
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if let size, size < 1 { throw ValidationError("--size \(size): expected at least 1.") }
    if let count, count < 2 { throw ValidationError("--count \(count): expected at least 2.") }
  }

  func run() throws {
    try Job.run(threading) { job in
      let (extractor, source) = try job.communicator.together {
        if job.isCoordinator { try Preflight.requireWritableFolder(parentFolder(of: out)) }
        let source = try ReferenceImages(data, size: size, count: count)
        try judging.requireFit(try source.source.size(0), of: "pictures of \(data)")
        return (try judging.extractor(firstStage: nil), source)
      }
      let found = try source.features(
        FeatureWork(job: job, extractor: extractor, patches: judging.patches),
        folder: work ?? out + ".work", itemSize: Self.itemSize)
      try job.communicator.together {
        guard let found else { return }
        try found.moments.write(to: out)
        if work == nil { try Disk.local.remove(out + ".work") }
        try StandardOutput.write(
          "\(source.count) pictures, \(extractor.name): \(out)\n")
      }
    }
  }
}

extension FeatureMoments {
  /// `mu` and `sigma`, in LFM's form where the name ends in .npy, else in pytorch-fid's.
  func write(to path: String) throws {
    let arrays: [NumPyWriter.Array] = [
      .init("mu", [dimension], doubles: mean),
      .init("sigma", [dimension, dimension], doubles: covariance),
    ]
    if path.lowercased().hasSuffix(".npy") {
      try NumPyWriter.write(dictionary: arrays, toFile: path)
    } else {
      try NumPyWriter.write(arrays, toArchive: path)
    }
  }
}

/// The pictures of a data set as a reference for samples.
struct ReferenceImages {
  let path: String
  let source: PreparedImages
  let count: Int
  private let size: Int?

  init(_ path: String, size: Int?, count: Int?) throws {
    self.path = path
    self.size = size
    source = try PreparedImages(
      try openImageSource(path), fit: size.map { .centerCrop($0) })
    try source.checkHeaders()
    let wanted = count ?? source.count
    guard source.count >= max(2, wanted) else {
      throw UserError(
        .badData, path, found: "\(source.count) pictures", expected: "at least \(max(2, wanted))")
    }
    self.count = wanted
  }

  /// Collective: features of all pictures; nil on other ranks than 0.
  func features(
    _ work: FeatureWork, folder: String, itemSize: Int
  ) throws -> ReferenceStatistics? {
    let fingerprint = try work.job.communicator.together {
      work.job.isCoordinator ? try source.fingerprint() : ""
    }
    let hash = Array("\(fingerprint)\n\(work.key)\n\(itemSize)\n".utf8)
      .withUnsafeBytes { sha256Hex(of: $0) }
    let done = try work.run(
      FeatureRun(work.extractor, patches: work.patches, source, itemSize: itemSize),
      folder: "\(folder)/\(hash.prefix(16))", itemSize: itemSize, count: count,
      "features of \(path)")
    return try work.job.communicator.together {
      try done.rows.map {
        ReferenceStatistics(
          path: path, hash: fingerprint,
          features: try $0.features(dimension: work.extractor.dimension).features,
          count: count)
      }
    }
  }
}
