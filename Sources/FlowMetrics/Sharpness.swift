import FlowTensor

/// Mean square of the discrete Laplacian of each image's grey level, (R + G + B) / 3: how much of
/// an image lies in high frequencies. Pixels at the edge have no Laplacian.
/// Pech-Pacheco et al. 2000, «Diatom autofocusing in brightfield microscopy: a comparative study».
///
/// - Parameter images: [B, H, W, C], H and W at least 3
public func laplacianEnergies(_ images: Tensor) -> [Double] {
  let s = images.shape
  precondition(
    s.rank == 4 && min(s[1], s[2]) >= 3, "the Laplacian of images \(s), not 3×3 or larger")
  let (h, w, c) = (s[1], s[2], s[3])
  var grey = [Double](repeating: 0, count: h * w)
  let energies = (0..<s[0]).map { image in
    let base = images.base + image * h * w * c
    for p in 0..<h * w {
      grey[p] = (0..<c).reduce(0.0) { $0 + Double(base[p * c + $1]) } / Double(c)
    }
    var sum = 0.0
    for y in 1..<h - 1 {
      for x in 1..<w - 1 {
        let p = y * w + x
        let value = grey[p - 1] + grey[p + 1] + grey[p - w] + grey[p + w] - 4 * grey[p]
        sum += value * value
      }
    }
    return sum / Double((h - 2) * (w - 2))
  }
  withExtendedLifetime(images) {}
  return energies
}
