import Diagnostics
import FlowData
import FlowModels
import Worker

/// The label maps that `synthesize` draws after, at the size of a model's pictures, with the
/// pictures that belong to them where there are any.
struct SynthesisMaps {
  let count: Int
  /// Whether the maps have pictures.
  let hasPictures: Bool
  private let source: PreparedImages
  private let size: ImageSize
  private let classes: Int

  /// - Parameters:
  ///   - base: pictures with label maps; or the maps themselves, as PNGs.
  ///   - size: of the model's pictures.
  ///   - classes: that the model knows.
  ///   - count: of the first maps; nil: all.
  /// - Throws: `UserError` for fewer maps, a picture of another size, or two of one name.
  init(
    _ base: any ImageSource, _ preparation: Preparation, size: ImageSize, classes: Int, count: Int?
  ) throws {
    source = try PreparedImages(base, preparation)
    hasPictures = base.mapClasses != nil
    self.count = count ?? source.count
    (self.size, self.classes) = (size, classes)
    guard self.count <= source.count else {
      throw UserError(
        .badData, source.path, found: "\(source.count) label maps",
        expected: "at least \(self.count)", advice: "give a smaller --count")
    }
    guard Set((0..<self.count).map { name($0) }).count == self.count else {
      throw UserError(
        .badData, source.path, found: "names that differ in their extensions alone",
        expected: "a name for every result")
    }
    for i in 0..<self.count { try check(source.size(i), "a picture", i) }
  }

  private func check(_ found: ImageSize, _ what: String, _ i: Int) throws {
    guard found != size else { return }
    throw UserError(
      .badData, source.place(i), found: "\(hasPictures ? what : "a label map") of \(found)",
      expected: "\(size), the size of the model's pictures",
      advice: "--size \(size.width) crops and scales pictures and label maps")
  }

  /// The result's name: that of the picture or the map, as PNG.
  func name(_ i: Int) -> String {
    let name = source.name(i)
    let base = name.lastIndex(of: "/").map { name.index(after: $0) } ?? name.startIndex
    let dot = name[base...].lastIndex(of: ".") ?? name.endIndex
    return name[..<dot] + ".png"
  }

  func label(_ i: Int) -> Int? { source.label(i) }

  /// The colours that the set has for its classes.
  var palette: [SIMD3<UInt8>] {
    source.classNames == ShapeClass.names
      ? ShapesDataset.mapPalette : LabelMap.palette(classes: classes)
  }

  func map(_ i: Int) throws -> LabelMap {
    let map: LabelMap
    if hasPictures {
      guard let found = try source.map(i) else {
        throw UserError(
          .badData, source.place(i), found: "no label map", expected: "one for every picture")
      }
      map = found
    } else {
      let stored = try LabelMap(contentsOf: source.place(i))
      map = source.preparation.fit.map {
        stored.fitted($0, image: ImageSize(width: stored.width, height: stored.height), index: i)
      } ?? stored
    }
    try check(ImageSize(width: map.width, height: map.height), "a label map", i)
    try map.check(classes: classes, file: source.place(i))
    return map
  }

  /// Nil for maps without pictures.
  func picture(_ i: Int) throws -> ImageBuffer? { hasPictures ? try source.image(i) : nil }
}
