import ArgumentParser
import Diagnostics
import FlowComm
import FlowData
import FlowTensor
import Foundation
import Worker

/// `--latents` and how its numbers are to be read.
struct LatentOptions: ParsableArguments {
  @Option(
    help: """
      In place of pictures: latents, [N, C, H, W] in a .safetensors, .npy or .npz file, a folder \
      of such files of [C, H, W], or WebDataset tars.
      """)
  var latents: String?
  @Option(help: "Name of the array. (default: latent, latents, z, mean or moments)")
  var latentsKey: String?
  @Flag(
    help: """
      The numbers are multiplied by the model's scale already, as diffusion models hand them on; \
      otherwise they are the autoencoder's.
      """)
  var latentsScaled = false

  func validate() throws {
    guard latents != nil || (latentsKey == nil && !latentsScaled) else {
      throw ValidationError("--latents-key and --latents-scaled: give --latents PATH, too.")
    }
  }
}

/// What `upscale` enlarges, and what the results are called.
struct UpscaleInput {
  let input: UpscalingInput
  /// Of the results, below `--out`, without `.png`.
  let names: [String]

  init(
    _ images: [String], _ options: LatentOptions, exif: ExifPolicy, _ cascade: Cascade
  ) throws {
    let given: [String]
    if let path = options.latents {
      let header = cascade.stages[0].described.header
      let source = try LatentArrays(
        path, channels: header.latentShape[2], key: options.latentsKey)
      input = .latents(source, scale: options.latentsScaled ? Float(header.scale) : 1)
      // Latents in one file have numbers for names.
      given = (0..<source.count).map { i in
        Int(source.name(i)).map { String(format: "%06d", $0) } ?? source.name(i)
      }
    } else {
      let source = try openPictures(images)
      guard source.count > 0 else {
        throw UserError(.badData, source.path, found: "no pictures", expected: "at least one")
      }
      input = .pictures(source, exif)
      given = (0..<source.count).map(source.name)
    }
    names = given.map(UpscaleInput.stem)
    try checkNames()
  }

  var count: Int { names.count }

  /// How messages call a picture.
  func place(_ i: Int) -> String {
    switch input {
    case .pictures(let source, _): source.place(i)
    case .latents(let source, _): "\(source.path), latent \(source.name(i))"
    }
  }

  /// Without the ending of a picture or an array.
  private static func stem(_ name: String) -> String {
    let endings = [".png", ".jpg", ".jpeg", ".webp", ".npy", ".safetensors"]
    let lower = name.lowercased()
    let ending = endings.first { lower.hasSuffix($0) && lower.utf8.count > $0.utf8.count }
    return ending.map { String(name.dropLast($0.count)) } ?? name
  }

  private func checkNames() throws {
    var numbers: [String: Int] = [:]
    for (i, name) in names.enumerated() {
      let parts = name.split(separator: "/", omittingEmptySubsequences: false)
      guard !parts.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }) else {
        throw UserError(
          .badData, place(i), found: "the name \(oneLine(name))",
          expected: "one that a file in --out can have")
      }
      if let other = numbers.updateValue(i, forKey: name) {
        throw UserError(
          .usage, place(i), found: "the name that \(place(other)) has, too",
          expected: "names that differ: results are called as the pictures are",
          advice: "upscale them into folders of their own")
      }
    }
  }

  /// Collective: the size of every picture. All are decoded once, over the ranks, so that one that
  /// cannot be read is told of at once and not after an hour.
  func sizes(_ job: Job, _ firstStage: FirstStage) throws -> [ImageSize] {
    switch input {
    case .latents(let source, _):
      let f = firstStage.downsamplingFactor
      let size = ImageSize(width: source.latentShape[1] * f, height: source.latentShape[0] * f)
      try job.shared(count: count) { i in
        _ = try source.latent(i)
        return []
      }
      return Array(repeating: size, count: count)
    case .pictures(let source, let exif):
      let sides = try job.shared(count: count) { i in
        let size = try source.contents(i).decoded(name: source.place(i), exif: exif).size
        return [Int64(size.width), Int64(size.height)]
      }
      return sides.map { ImageSize(width: Int($0[0]), height: Int($0[1])) }
    }
  }
}

extension Job {
  /// Collective: numbers that the ranks find out by turns, for each of `count` things; the same on
  /// all ranks.
  @discardableResult
  fileprivate func shared(
    count: Int, _ find: (Int) throws -> [Int64]
  ) throws -> [[Int64]] {
    let own = try communicator.together {
      try stride(from: rank, to: count, by: communicator.size).map(find)
    }
    let shares = try communicator.allGather(own.flatMap(\.self))
    let width = shares.reduce(0) { $0 + $1.count } / max(1, count)
    return (0..<count).map { i in
      let place = i / communicator.size * width
      return Array(shares[i % communicator.size][place..<place + width])
    }
  }
}
