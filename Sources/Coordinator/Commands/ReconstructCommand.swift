import ArgumentParser
import Diagnostics
import FlowData
import FlowMetrics
import FlowTensor
import Foundation
import Worker

/// `latentflow reconstruct`
struct ReconstructCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reconstruct",
    abstract: "Sends images through the autoencoder and back, all ranks at one image.",
    discussion: """
      Encodes each image to the mean of its latent and decodes that, however large it is, with the
      numbers of the whole image (docs/large-images.md). Reports PSNR, seconds and the most memory
      that a rank's process took so far. Sides are multiples of the autoencoder's factor, mostly 8.

      Examples:
        latentflow reconstruct photo.png --autoencoder vae --out reconstructed --memory 3G
        scripts/run.sh 2 latentflow reconstruct photos --autoencoder vae --out reconstructed
      """)

  @Argument(help: "Image files, or folders of them.")
  var images: [String]
  @Option(help: "The autoencoder: a weights file or a folder that holds one.")
  var autoencoder: String
  @Option(help: "Folder for the PNGs, new or empty.")
  var out: String
  @OptionGroup var limits: MemoryOptions
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  private struct Row: Encodable {
    let image: String
    let width: Int
    let height: Int
    /// dB; infinite for an equal image.
    let psnr: Double
    let encodeSeconds: Double
    let decodeSeconds: Double
    /// Of the rank that took most, since it started.
    let peakBytes: Int64
  }

  func run() throws {
    try Job.run(threading) { job in
      let (stage, files) = try job.communicator.together { () in
        let files = try pictures()
        let stage = try FirstStage.autoencoder(autoencoder)
        // What cannot be computed is told before anything is.
        for file in files {
          _ = try stage.latentShape(of: imageSize(ofFile: file.path), place: file.path)
        }
        if job.isCoordinator {
          try Preflight.requireEmptyOrNew(out)
          try Disk.local.createFolders(out)
        }
        return (stage, files)
      }
      let rows = try files.map { try reconstruct($0.path, as: $0.name, stage, job) }
      try job.communicator.together {
        guard job.isCoordinator else { return }
        try report(rows)
      }
    }
  }

  /// Paths, and the names of their PNGs without ending.
  private func pictures() throws -> [(path: String, name: String)] {
    var result: [(path: String, name: String)] = []
    var paths: [String: String] = [:]
    for argument in images {
      var isFolder: ObjCBool = false
      let exists = FileManager.default.fileExists(atPath: argument, isDirectory: &isFolder)
      if exists, isFolder.boolValue {
        let folder = try ImageFolder(argument)
        result += (0..<folder.count).map { i in
          let name = (folder.name(i) as NSString).deletingPathExtension
          return (folder.place(i), name.replacingOccurrences(of: "/", with: "-"))
        }
      } else {
        try Preflight.requireFile(argument, "an image")
        let file = (argument as NSString).lastPathComponent as NSString
        result.append((argument, file.deletingPathExtension))
      }
    }
    for picture in result {
      if let other = paths.updateValue(picture.path, forKey: picture.name) {
        throw UserError(
          .usage, picture.path, found: "the name of \(other)",
          expected: "images whose names differ: each becomes \(picture.name).png")
      }
    }
    return result
  }

  /// Collective.
  private func reconstruct(
    _ path: String, as name: String, _ stage: FirstStage, _ job: Job
  ) throws -> Row {
    let image = try job.communicator.together { try ImageBuffer(contentsOf: path) }
    let x = tensor(of: [image])
    let clock = ContinuousClock()
    let begin = clock.now
    let z = try stage.encode(x, sharedBy: job.communicator, memory: limits.memory).mean
    let middle = clock.now
    let y = try stage.decode(z, sharedBy: job.communicator, memory: limits.memory)
    let end = clock.now
    let peak = try job.communicator.allReduce([Int64(try peakResidentBytes())], .max)[0]
    let psnr = try job.communicator.together {
      guard job.isCoordinator else { return 0.0 }
      let result = ImageBuffer(y, index: 0)
      try result.writePNG(to: "\(out)/\(name).png")
      // Of the pictures as they are stored, in [0, 1].
      let levels = [image, result].map { tensor(of: [$0]) }
      for t in levels { for i in 0..<t.count { t.base[i] = (t.base[i] + 1) / 2 } }
      return peakSignalToNoise(levels[1], levels[0])[0]
    }
    return Row(
      image: path, width: image.width, height: image.height, psnr: psnr,
      encodeSeconds: (middle - begin).seconds, decodeSeconds: (end - middle).seconds,
      peakBytes: peak)
  }

  private func report(_ rows: [Row]) throws {
    if output.json { return try StandardOutput.write(json: rows) }
    var table = TextTable(rightAligned: [1, 2, 3, 4, 5])
    table.append("image", "size", "PSNR", "encode", "decode", "peak")
    for row in rows {
      table.append(
        row.image, "\(row.width)×\(row.height)", String(format: "%.2f dB", row.psnr),
        String(format: "%.1f s", row.encodeSeconds), String(format: "%.1f s", row.decodeSeconds),
        String(format: "%.2f GB", Double(row.peakBytes) * 1e-9))
    }
    try StandardOutput.write(table.text())
  }
}
