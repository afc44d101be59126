import FlowTensor

/// What LFM's inpainting model is told: the latent of the masked image and the mask at its size.
/// The model's input is [x_t, condition] along the channels.
///
/// - Parameters:
///   - maskedLatent: scaled latent of the image with its hole, [B, h, w, C]
///   - mask: [B, H, W, 1], resized by nearest neighbour (source index ⌊i·H/h⌋)
/// - Returns: [B, h, w, C + 1]
public func inpaintingCondition(maskedLatent: Tensor, mask: Tensor) -> Tensor {
  precondition(
    maskedLatent.shape.rank == 4 && mask.shape.rank == 4 && mask.shape[3] == 1
      && mask.shape[0] == maskedLatent.shape[0],
    "mask \(mask.shape) for latents \(maskedLatent.shape)")
  let (h, w) = (maskedLatent.shape[1], maskedLatent.shape[2])
  return concatenate(maskedLatent, nearestResized(mask, height: h, width: w))
}

/// What an inpainting model may be told in place of a latent: averages over cells of the masked
/// image and its mask. What an encoder makes of visible pixels depends on the hole; these do not.
///
/// - Parameters:
///   - maskedImage: [B, H, W, C] in [−1, 1]
///   - mask: [B, H, W, 1]
///   - factor: f, image pixels per latent pixel along each axis
///   - cells: k, a divisor of f; a cell has (f / k)² pixels
/// - Returns: [B, H / f, W / f, (C + 1)·k²], the k×k cells of a channel side by side
public func inpaintingThumbnail(
  maskedImage: Tensor, mask: Tensor, factor: Int, cells: Int
) -> Tensor {
  precondition(cells >= 1 && factor % cells == 0, "\(cells) cells in \(factor) pixels")
  let side = factor / cells
  let averages = averagePool(concatenate(maskedImage, mask), window: side, stride: side)
  let (b, h, w) = (averages.shape[0], averages.shape[1] / cells, averages.shape[2] / cells)
  return patchify(averages, patch: cells).reshaped([b, h, w, averages.shape[3] * cells * cells])
}

/// The mask of a hole from the levels of LFM's mask files, in which the hole is black.
///
/// - Parameters:
///   - levels: [B, H, W] row-major, 0 in the hole, 255 where the image is kept
///   - shape: [B, H, W, 1]
/// - Returns: 1 in the hole, −1 elsewhere, [B, H, W, 1]
public func inpaintingMask(levels: [UInt8], shape: Shape) -> Tensor {
  precondition(
    shape.rank == 4 && shape[3] == 1 && levels.count == shape.count,
    "\(levels.count) levels for a mask \(shape)")
  return Tensor(shape, levels.map { 1 - 2 * (Float($0) / 255) })
}

/// The image with its hole black.
///
/// - Parameters:
///   - image: [B, H, W, C] in [−1, 1]
///   - mask: 1 in the hole, −1 elsewhere, [B, H, W, 1]
/// - Returns: [B, H, W, C] in [−1, 1]
public func maskedImage(_ image: Tensor, mask: Tensor) -> Tensor {
  blend(image, mask: mask) { _ in -1 }
}

/// What an inpainting shows: the decoded image in the hole, the given one elsewhere.
///
/// - Parameters:
///   - decoded, image: [B, H, W, C]
///   - mask: 1 in the hole, −1 elsewhere, [B, H, W, 1]
/// - Returns: [B, H, W, C]
public func inpaintingComposite(decoded: Tensor, image: Tensor, mask: Tensor) -> Tensor {
  precondition(decoded.shape == image.shape, "decoded \(decoded.shape), image \(image.shape)")
  return blend(image, mask: mask) { decoded.base[$0] }
}

/// m·hole + (1 − m)·image with m = (mask + 1) / 2.
private func blend(_ image: Tensor, mask: Tensor, hole: (_ index: Int) -> Float) -> Tensor {
  precondition(
    image.shape.rank == 4 && mask.shape.dims == image.shape.dims.dropLast() + [1],
    "mask \(mask.shape) for images \(image.shape)")
  let channels = image.shape[3]
  let result = Tensor(uninitialized: image.shape)
  for i in 0..<image.count {
    let m = (mask.base[i / channels] + 1) / 2
    result.base[i] = m * hole(i) + (1 - m) * image.base[i]
  }
  return result
}

/// [B, H, W, C] → [B, h, w, C]
private func nearestResized(_ x: Tensor, height: Int, width: Int) -> Tensor {
  let (b, h, w, c) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
  let result = Tensor(uninitialized: [b, height, width, c])
  var out = result.base
  for sample in 0..<b {
    for y in 0..<height {
      for column in 0..<width {
        let source = ((sample * h + y * h / height) * w + column * w / width) * c
        out.update(from: x.base + source, count: c)
        out += c
      }
    }
  }
  return result
}
