import Diagnostics
import Foundation

/// Packs pictures into one of the forms that are read: the same pictures give the same bytes.
public enum PackedForm: Equatable, Sendable {
  /// WebDataset shards of `samples` pictures: `000000012.jpg`, `000000012.cls`. The path of several
  /// shards has their number in braces, as in `train-{000000..000003}.tar`.
  case tar(samples: Int?)
  /// Keys "0", "1", …, values are picture files, as LFM reads them. Labels have no place there.
  case lmdb
  /// `00000/img00000000.png` and `dataset.json` with the labels, as EDM reads them.
  case zip

  /// The form that the extension of `path` says.
  public init?(path: String, samples: Int?) {
    if path.hasSuffix(".tar") {
      self = .tar(samples: samples)
    } else if path.hasSuffix(".lmdb"), samples == nil {
      self = .lmdb
    } else if path.hasSuffix(".zip"), samples == nil {
      self = .zip
    } else {
      return nil
    }
  }
}

/// - Parameters:
///   - path: for shards of a number of samples each, `train.tar` becomes `train-000000.tar` ….
///   - progress: called with the number of pictures done.
/// - Returns: the files or folders that were made.
/// Throws what a picture throws, and `.io`; nothing half-made is left under the final names.
public func packPictures(
  _ source: any ImageSource, as form: PackedForm, to path: String,
  progress: (Int) -> Void = { _ in }
) throws -> [String] {
  switch form {
  case .tar(let samples): return try packTar(source, path, samples ?? source.count, progress)
  case .lmdb: try packLMDB(source, path, progress)
  case .zip: try packZip(source, path, progress)
  }
  return [path]
}

/// The file of a picture and the extension of its format; pixels become PNG.
private func pictureFile(
  _ source: any ImageSource, _ i: Int
) throws -> (bytes: [UInt8], extension: String) {
  switch try source.contents(i) {
  case .pixels(let image): return (try image.encodedPNG(), "png")
  case .encoded(let bytes):
    switch ImageFormat(bytes) {
    case .png: return (bytes, "png")
    case .jpeg: return (bytes, "jpg")
    case .webp: return (bytes, "webp")
    case nil: throw ImageFormat.unknown(bytes, name: source.place(i))
    }
  }
}

private func packTar(
  _ source: any ImageSource, _ path: String, _ samples: Int, _ progress: (Int) -> Void
) throws -> [String] {
  let starts = Array(stride(from: 0, to: source.count, by: samples))
  return try starts.enumerated().map { shard, start in
    let name = starts.count == 1 ? path : "\(path.dropLast(4))-\(digits(shard, 6)).tar"
    try Disk.local.writeAtomically(to: name) { file in
      let tar = TarWriter(file)
      for i in start..<min(start + samples, source.count) {
        let picture = try pictureFile(source, i)
        try tar.add("\(digits(i, 9)).\(picture.extension)", picture.bytes)
        if let label = source.label(i) {
          try tar.add("\(digits(i, 9)).cls", Array("\(label)".utf8))
        }
        progress(i + 1)
      }
      try tar.finish()
    }
    return name
  }
}

private func packLMDB(
  _ source: any ImageSource, _ path: String, _ progress: (Int) -> Void
) throws {
  let database = try LMDBWriter(path)
  let keys = (0..<source.count).map { (text: Array("\($0)".utf8), index: $0) }
    .sorted { $0.text.lexicographicallyPrecedes($1.text) }
  for (done, key) in keys.enumerated() {
    try database.add(key.text, try pictureFile(source, key.index).bytes)
    progress(done + 1)
  }
  try database.finish()
}

private func packZip(
  _ source: any ImageSource, _ path: String, _ progress: (Int) -> Void
) throws {
  try Disk.local.writeAtomically(to: path) { file in
    let zip = ZipWriter(file)
    var names: [String] = []
    for i in 0..<source.count {
      let picture = try pictureFile(source, i)
      names.append("\(digits(i / 1000, 5))/img\(digits(i, 8)).\(picture.extension)")
      try picture.bytes.withUnsafeBytes { try zip.add(names[i], $0) }
      progress(i + 1)
    }
    try Array(labelsJSON(source, names).utf8).withUnsafeBytes { try zip.add("dataset.json", $0) }
    try zip.finish()
  }
}

/// `{"labels": [["00000/img00000000.png", 3], …]}`, or null for a set without labels.
private func labelsJSON(_ source: any ImageSource, _ names: [String]) -> String {
  guard source.classNames != nil else { return "{\"labels\": null}\n" }
  let pairs = names.enumerated().map { i, name in
    "[\"\(name)\", \(source.label(i).map(String.init) ?? "null")]"
  }
  return "{\"labels\": [\n\(pairs.joined(separator: ",\n"))\n]}\n"
}
