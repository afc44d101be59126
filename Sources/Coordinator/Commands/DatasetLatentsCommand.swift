import ArgumentParser
import Diagnostics
import FlowData
import Foundation
import RunFormat
import Worker

/// `latentflow dataset latents`
struct DatasetLatentsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "latents",
    abstract: "Makes a latent cache of latents that were computed elsewhere.",
    discussion: """
      Latents: a .npy, .npz or .safetensors file of [N, C, H, W], a folder of such files of
      [C, H, W], one subfolder per class or none, or WebDataset tars with fields latent.npy.
      They are taken as the autoencoder made them, not scaled.

      Example:
        scripts/run.sh 2 latentflow dataset latents 'shards/train-{000000..000010}.tar' \\
          --autoencoder models/sd-vae --out data/latents
      """)

  @Argument(help: "The latents.")
  var latents: String
  @Option(help: "Folder of the cache.")
  var out: String
  @Option(help: "The first stage that made them: a weights file or a folder that holds one.")
  var autoencoder: String
  @Option(help: "Factor that brings latents to unit variance. (default: the autoencoder's own)")
  var scale: Double?
  @OptionGroup var threading: ThreadOptions

  func validate() throws {
    if let scale, !(scale > 0) { throw ValidationError("--scale \(scale): expected above 0.") }
  }

  func run() throws {
    try Job.run(threading) { job in
      let (source, shared) = try job.communicator.together { try open() }
      var description = shared
      let fingerprint = try job.communicator.together {
        job.isCoordinator ? try source.fingerprint() : ""
      }
      description.sourceFingerprint = String(
        decoding: try job.communicator.broadcast(Array(fingerprint.utf8), from: 0), as: UTF8.self)
      let cache = try job.communicator.together {
        try LatentCacheWriter(folder: out, description)
      }
      let progress = ProgressLine()
      try LatentImporter(source, writer: cache).run(job.communicator) { done in
        progress.update(RunProgress(step: done, total: source.count), isLogged: true)
      }
      try job.communicator.together {
        guard job.isCoordinator else { return }
        progress.finish()
        try LatentCacheReport.write(cache.finish(), folder: out)
      }
    }
  }

  private func open() throws -> (LatentArrays, LatentCacheDescription) {
    let stage = try FirstStage.autoencoder(autoencoder)
    let source = try LatentArrays(latents, channels: stage.latentChannels)
    // The kind «latents» is none of pictures: nothing will look for the images again.
    return (
      source,
      LatentCacheDescription(
        count: source.count, latentShape: source.latentShape, hasLogvar: source.hasLogvar,
        hasFlips: false, hasLabels: source.classNames != nil,
        classNames: source.classNames ?? [], sourceFingerprint: "",
        sourcePath: "latents:\(latents)", autoencoderHash: stage.hash,
        scaleFactor: scale ?? stage.scaleFactor ?? 1)
    )
  }
}

/// What a finished cache says of itself.
enum LatentCacheReport {
  static func write(_ index: LatentCacheIndex, folder: String) throws {
    let d = index.description
    let shape = d.latentShape.map(String.init).joined(separator: "×")
    let deviations = index.channelDeviation.map { String(format: "%.3f", $0) }
    try StandardOutput.write(
      "\(d.count) latents of \(shape), scale \(d.scaleFactor), standard deviation per channel "
        + "\(deviations.joined(separator: " ")): \(folder)\n")
    if index.channelDeviation.contains(where: { !(0.5...2).contains($0) }) {
      StandardError.say(
        "warning: scaled latents should have a standard deviation near 1; is --scale right?")
    }
  }
}
