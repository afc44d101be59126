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
