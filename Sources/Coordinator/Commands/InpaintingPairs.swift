import Diagnostics
import FlowData
import Worker

/// Pictures and their masks at the size of a model.
struct InpaintingPairs {
  enum Holes {
    case folder(MaskFolder)
    /// Step 0 of the kind: what `dataset masks` draws.
    case drawn(MaskGenerator, seed: UInt64)
  }

  let count: Int
  private let source: PreparedImages
  private let holes: Holes
  private let size: ImageSize

  /// - Parameters:
  ///   - size: of the model's pictures.
  ///   - count: of the first pictures; nil: all.
  /// - Throws: `UserError` for fewer pictures, a picture of another size, or a kind of hole that
  ///   these pictures do not have.
  init(
    _ base: any ImageSource, _ preparation: Preparation, holes: Holes, size: ImageSize, count: Int?
  ) throws {
    source = try PreparedImages(base, preparation)
    self.count = count ?? source.count
    (self.holes, self.size) = (holes, size)
    guard self.count <= source.count else {
      throw UserError(
        .badData, source.path, found: "\(source.count) pictures",
        expected: "at least \(self.count)", advice: "give a smaller --count")
    }
    if case .drawn(let generator, _) = holes, generator.needsMap, source.mapClasses == nil {
      throw UserError(
        .usage, "--kind", found: "one that hides by label, and \(source.path) has no label maps",
        expected: "celebamask, ade20k, coco-stuff or shapes, or another kind")
    }
    for i in 0..<self.count {
      let found = try source.size(i)
      guard found == size else {
        throw UserError(
          .badData, source.place(i), found: "a picture of \(found)",
          expected: "\(size), the size of the model's pictures",
          advice: "--size \(size.width) crops and scales pictures, and their masks with them")
      }
    }
  }

  /// The result's name: that of the picture, as PNG.
  func name(_ i: Int) -> String { HoleMask.fileName(of: source.name(i)) }

  /// Reads every mask. Throws what the first that is no good throws.
  func checkAll() throws {
    for i in 0..<count { _ = try mask(i) }
  }

  func picture(_ i: Int) throws -> MaskedPicture {
    MaskedPicture(try source.image(i), try mask(i))
  }

  private func mask(_ i: Int) throws -> HoleMask {
    switch holes {
    case .folder(let folder):
      let stored = try source.base.size(i)
      let mask = try folder.mask(of: source.name(i), size: stored)
      guard let fit = source.preparation.fit else { return mask }
      let fitted = mask.fitted(fit, image: stored, index: i)
      guard fitted.area > 0 else {
        throw UserError(
          .badData, try folder.file(of: source.name(i)),
          found: "no hole in the part that --size leaves", expected: "black in the hole")
      }
      return fitted
    case .drawn(let generator, let seed):
      return try generator.mask(
        size, map: generator.needsMap ? try source.map(i) : nil, seed: seed, index: i,
        place: source.place(i))
    }
  }

  /// Labels of the pictures; nil where they have none.
  var labels: [Int]? {
    let found = (0..<count).compactMap { source.label($0) }
    return found.count == count ? found : nil
  }

  /// What a model with classes is told: the pictures' own labels unless others are asked for.
  func labels(for loaded: LoadedModel, as asked: String) throws -> [Int]? {
    let classes = loaded.config.model.classes
    guard classes > 0, asked == "uniform" else { return nil }
    guard let labels, labels.allSatisfy({ $0 < classes }) else {
      throw UserError(
        .badData, source.path, found: "pictures without labels below \(classes)",
        expected: "those that the model was trained on", advice: "or name labels with --labels")
    }
    return labels
  }
}
