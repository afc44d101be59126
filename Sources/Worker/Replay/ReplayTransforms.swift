import Diagnostics
import FlowData
import FlowTensor

/// Image transforms, pixel for pixel: the error of a row is the largest difference of a level, and
/// that of normalised values their relative L2 error.
func replayTransformsCase(_ c: ReferenceCase) throws -> [ReplayRow] {
  let sizes = c.config["sizes"]?.array?.compactMap(\.int) ?? []
  return try c.names(.inputs).flatMap { name in
    let image = try c.image(.inputs, name)
    var rows = [try c.row(levels: "\(name).flip", image.flippedHorizontally())]
    for size in sizes where size > 0 && size <= maximumImageSide {
      rows += [
        try c.row(levels: "\(name).center_crop_arr_\(size)", image.fitted(.centerCrop(size))),
        try c.row(levels: "\(name).resize_\(size)", image.resizedShortSide(to: size)),
        try c.row(levels: "\(name).resize_crop_\(size)", image.fitted(.resizeCrop(size))),
      ]
    }
    let planes = nchw(tensor(of: [image]))
    return rows + [try c.row("\(name).normalised", planes.values, unstated: 1e-7)].compactMap { $0 }
  }
}

extension ReferenceCase {
  /// A [H, W, 3] tensor of levels.
  fileprivate func image(_ group: Group, _ name: String) throws -> ImageBuffer {
    let shape = try shape(group, name)
    let levels = try ints(group, name).map { UInt8(clamping: $0) }
    guard shape.rank == 3, shape[2] == 3, !levels.isEmpty else {
      throw UserError(
        .badData, file.path, at: "tensor \(group.rawValue).\(name)", found: "shape \(shape)",
        expected: "an image, [H, W, 3]")
    }
    return ImageBuffer(width: shape[1], height: shape[0], pixels: levels)
  }

  fileprivate func row(levels name: String, _ found: ImageBuffer) throws -> ReplayRow {
    let expected = try image(.outputs, name)
    guard found.size == expected.size else {
      return ReplayRow(name: "\(name): \(found.size)", error: .infinity, tolerance: 0)
    }
    let differences = zip(found.pixels, expected.pixels).map { abs(Double($0) - Double($1)) }
    return ReplayRow(name: name, error: differences.max() ?? 0, tolerance: 0)
  }
}
