import ArgumentParser
import Diagnostics
import FlowData
import Foundation
import RunFormat

/// `latentflow dataset pack`
struct DatasetPackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pack",
    abstract: "Packs a set into tar shards, an LMDB or a zip.",
    discussion: """
      Picture files go in as they are; with --size they are cropped, scaled and stored as PNG.
      The extension of --out says the form: .tar (WebDataset), .lmdb (LFM's; without labels) or
      .zip (EDM's and StyleGAN's, with dataset.json).

      Example:
        latentflow dataset pack photos --out photos.tar --shard 10000
        latentflow dataset pack photos --size 256 --out data/train.lmdb
        latentflow dataset pack lmdb:church_outdoor_train_lmdb --broken skip --out church.zip
      """)

  @Argument(help: "The set of pictures.")
  var data: String
  @Option(help: "The file or folder to make: .tar, .lmdb or .zip.")
  var out: String
  @Option(help: "Pictures in a tar; there will be several tars.")
  var shard: Int?
  @Option(help: "Pictures that cannot be read: strict (stop at one) or skip (list them).")
  var broken = BrokenPolicy.strict
  @OptionGroup var fitting: FitOptions
  @OptionGroup var pictures: PictureOptions

  func validate() throws {
    if let shard, shard < 1 { throw ValidationError("--shard \(shard): expected at least 1.") }
    if pictures.exif == .apply, fitting.size == nil {
      throw ValidationError("--exif apply needs --size: files as they are keep their notes.")
    }
    guard PackedForm(path: out, samples: shard) != nil else {
      throw ValidationError("--out \(out): expected .tar, .lmdb or .zip; --shard only with .tar.")
    }
  }

  func run() throws {
    guard let form = PackedForm(path: out, samples: shard) else { return }
    guard !FileManager.default.fileExists(atPath: out) else {
      throw UserError(.usage, out, found: "exists already", expected: "a new name")
    }
    var source = try pictures.open(data)
    // A picture that breaks after hours of packing is one too late.
    let found = try source.broken(in: 0..<source.count)
    if !found.isEmpty {
      guard broken == .skip else {
        throw UserError(
          .badData, data, found: "\(found.count) broken pictures (\(found[0].reason))",
          expected: "none", advice: "give --broken skip to leave them out")
      }
      for picture in found { StandardError.say("left out: \(picture.reason)") }
      source = try SelectedImages(source, without: found.map(\.name))
    }
    if form == .lmdb, source.classNames != nil {
      StandardError.say("warning: an LMDB of this form holds no labels; they are left behind")
    }
    if let fit = fitting.fit {
      source = try PreparedImages(source, Preparation(fit: fit, exif: pictures.exif))
    }
    let count = source.count
    let progress = PictureProgress(of: count, interval: count)
    let made = try packPictures(source, as: form, to: out) { progress.update($0) }
    progress.finish()
    let all = made.count == 1 ? made[0] : "\(made[0]) … \(made[made.count - 1])"
    try StandardOutput.write("\(count) pictures: \(all)\n")
  }
}
