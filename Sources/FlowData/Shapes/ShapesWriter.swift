import Diagnostics
import Foundation

/// Draws `count` samples of the shapes set as files, the same bytes for the same arguments:
/// `images/000000.png` …, `masks/000000.png` … (0 background, 1 + label on the shape, as a palette
/// image), `dataset.json` first and `labels.csv` last. The numbers are sample indices.
///
/// - Parameter progress: called after each sample with the number of samples written.
/// - Throws: `.usage` for arguments that make no set, `.io` for a folder that cannot be made,
///   that is not empty, or a disk that is full; the error names the file.
public func writeShapes(
  to folder: String, count: Int, size: Int, seed: UInt64, startIndex: Int = 0,
  progress: (Int) -> Void = { _ in }
) throws {
  guard count > 0 else {
    throw UserError(.usage, "--count", found: "\(count)", expected: "at least 1 image")
  }
  guard (16...maximumImageSide).contains(size) else {
    throw UserError(
      .usage, "--size", found: "\(size)", expected: "16 to \(maximumImageSide) pixels")
  }
  guard startIndex >= 0 && startIndex < 1 << 40 && count < 1 << 40 else {
    throw UserError(
      .usage, "--start", found: "\(startIndex)", expected: "an index from 0 below 2^40")
  }
  try makeEmptyFolder(folder)
  // Before the pictures: a set that was cut short is known by its missing labels, and never taken
  // for a folder of classes.
  let description = ImageSetDescription(
    classes: ShapeClass.names, count: count, masks: "masks",
    shapes: .init(size: size, seed: seed, startIndex: startIndex))
  try description.write(to: folder)
  try makeFolder("\(folder)/images")
  try makeFolder("\(folder)/masks")

  let set = ShapesDataset(size: size, seed: seed, count: count, startIndex: startIndex)
  let palette = ShapesDataset.mapPalette
  var labels = "file,label\n"
  for i in 0..<count {
    let sample = set.draw(i)
    let name = set.name(i)
    try sample.image.writePNG(to: "\(folder)/images/\(name)")
    try sample.mask.writePNG(to: "\(folder)/masks/\(name)", palette: palette)
    labels += "\(name),\(sample.label)\n"
    progress(i + 1)
  }
  try ImageFile.write(labels, to: "\(folder)/labels.csv")
}

extension ShapesDataset {
  /// Of label maps: black ground; each class in its colour, darker from shape to shape.
  public static var mapPalette: [SIMD3<UInt8>] {
    let classes = (0..<ShapeClass.count).map { label -> SIMD3<UInt8> in
      let shape = ShapeClass(label: label)
      let share = 1 - 0.2 * Float(shape.kind.rawValue)
      return SIMD3<UInt8>(255 * share * shape.color.rgb, rounding: .toNearestOrEven)
    }
    return [SIMD3(0, 0, 0)] + classes
  }
}

/// Makes `path`, or checks that it is an empty folder.
private func makeEmptyFolder(_ path: String) throws {
  var status = stat()
  guard stat(path, &status) == 0 else { return try makeFolder(path) }
  guard status.st_mode & S_IFMT == S_IFDIR else {
    throw UserError(.io, path, found: "a file", expected: "a folder, new or empty")
  }
  let contents = try? FileManager.default.contentsOfDirectory(atPath: path)
  guard let contents else { throw ImageFile.systemError(path, expected: "a readable folder") }
  guard contents.isEmpty else {
    throw UserError(
      .io, path, found: "a folder with \(contents.count) entries",
      expected: "a folder, new or empty", advice: "name another folder or empty this one")
  }
}

private func makeFolder(_ path: String) throws {
  do {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  } catch {
    let reason = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
    throw UserError(
      .io, path, found: reason?.localizedDescription ?? error.localizedDescription,
      expected: "a folder that can be made and written to")
  }
}
