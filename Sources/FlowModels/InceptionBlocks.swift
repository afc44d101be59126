import FlowTensor

// The blocks of Inception v3 (Szegedy et al. 2016, arXiv 1512.00567, figures 5 to 7 and 10) under
// the names of torchvision's and pytorch-fid's state dictionaries.

/// Convolution without bias, batch normalisation in its evaluated form, ReLU: one convolution with
/// w·γ/√(var + ε) as weights and β − mean·γ/√(var + ε) as bias.
struct InceptionConvolution {
  private static let epsilon = 1e-3

  private let convolution: FrozenConvolution

  init(
    _ inputs: Int, _ outputs: Int, kernel: (Int, Int), stride: Int = 1, padding: (Int, Int),
    _ weights: NamedWeights
  ) throws {
    let shape: Shape = [outputs, inputs, kernel.0, kernel.1]
    let weight = try weights("conv").tensor("weight", shape).copy()
    let norm = weights("bn")
    let gamma = try norm.tensor("weight", [outputs])
    let beta = try norm.tensor("bias", [outputs])
    let mean = try norm.tensor("running_mean", [outputs])
    let variance = try norm.tensor("running_var", [outputs])
    let bias = Tensor(uninitialized: [outputs])
    let taps = inputs * kernel.0 * kernel.1
    for c in 0..<outputs {
      let factor = Double(gamma.base[c]) / (Double(variance.base[c]) + Self.epsilon).squareRoot()
      bias.base[c] = Float(Double(beta.base[c]) - Double(mean.base[c]) * factor)
      for i in c * taps..<(c + 1) * taps {
        weight.base[i] = Float(Double(weight.base[i]) * factor)
      }
    }
    convolution = FrozenConvolution(
      weight: weight, bias: bias, stride: stride,
      padding: Padding(top: padding.0, left: padding.1, bottom: padding.0, right: padding.1),
      rectified: true)
  }

  /// A square kernel; the extents are kept at stride 1 if `padding` is half of it.
  init(
    _ inputs: Int, _ outputs: Int, kernel: Int = 1, stride: Int = 1, padding: Int = 0,
    _ weights: NamedWeights
  ) throws {
    try self.init(
      inputs, outputs, kernel: (kernel, kernel), stride: stride, padding: (padding, padding),
      weights)
  }

  func callAsFunction(_ x: Tensor) -> Tensor { convolution(x) }
}

/// Mixed_5b to Mixed_5d: 1×1, 5×5, twice 3×3, and a pooled branch.
struct InceptionA {
  let branch1x1, branch5x5a, branch5x5b: InceptionConvolution
  let branch3x3a, branch3x3b, branch3x3c, branchPool: InceptionConvolution

  init(_ inputs: Int, pooled: Int, _ w: NamedWeights) throws {
    branch1x1 = try InceptionConvolution(inputs, 64, w("branch1x1"))
    branch5x5a = try InceptionConvolution(inputs, 48, w("branch5x5_1"))
    branch5x5b = try InceptionConvolution(48, 64, kernel: 5, padding: 2, w("branch5x5_2"))
    branch3x3a = try InceptionConvolution(inputs, 64, w("branch3x3dbl_1"))
    branch3x3b = try InceptionConvolution(64, 96, kernel: 3, padding: 1, w("branch3x3dbl_2"))
    branch3x3c = try InceptionConvolution(96, 96, kernel: 3, padding: 1, w("branch3x3dbl_3"))
    branchPool = try InceptionConvolution(inputs, pooled, w("branch_pool"))
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, in] → [B, H, W, 224 + pooled]
    joinedChannels([
      branch1x1(x), branch5x5b(branch5x5a(x)), branch3x3c(branch3x3b(branch3x3a(x))),
      branchPool(averagePool(x, window: 3, stride: 1, padding: 1)),
    ])
  }
}

/// Mixed_6a: halves the extents.
struct InceptionB {
  let branch3x3: InceptionConvolution
  let branch3x3a, branch3x3b, branch3x3c: InceptionConvolution

  init(_ inputs: Int, _ w: NamedWeights) throws {
    branch3x3 = try InceptionConvolution(inputs, 384, kernel: 3, stride: 2, w("branch3x3"))
    branch3x3a = try InceptionConvolution(inputs, 64, w("branch3x3dbl_1"))
    branch3x3b = try InceptionConvolution(64, 96, kernel: 3, padding: 1, w("branch3x3dbl_2"))
    branch3x3c = try InceptionConvolution(96, 96, kernel: 3, stride: 2, w("branch3x3dbl_3"))
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, in] → [B, H', W', 480 + in]
    joinedChannels([
      branch3x3(x), branch3x3c(branch3x3b(branch3x3a(x))), maxPool(x, window: 3, stride: 2),
    ])
  }
}

/// Mixed_6b to Mixed_6e: 7×7 as rows and columns, c channels inside.
struct InceptionC {
  let branch1x1, branchPool: InceptionConvolution
  let branch7x7: [InceptionConvolution]
  let branch7x7Twice: [InceptionConvolution]

  init(_ inputs: Int, inner c: Int, _ w: NamedWeights) throws {
    func row(_ inputs: Int, _ outputs: Int, _ name: String) throws -> InceptionConvolution {
      try InceptionConvolution(inputs, outputs, kernel: (1, 7), padding: (0, 3), w(name))
    }
    func column(_ inputs: Int, _ outputs: Int, _ name: String) throws -> InceptionConvolution {
      try InceptionConvolution(inputs, outputs, kernel: (7, 1), padding: (3, 0), w(name))
    }
    branch1x1 = try InceptionConvolution(inputs, 192, w("branch1x1"))
    branch7x7 = [
      try InceptionConvolution(inputs, c, w("branch7x7_1")), try row(c, c, "branch7x7_2"),
      try column(c, 192, "branch7x7_3"),
    ]
    branch7x7Twice = [
      try InceptionConvolution(inputs, c, w("branch7x7dbl_1")), try column(c, c, "branch7x7dbl_2"),
      try row(c, c, "branch7x7dbl_3"), try column(c, c, "branch7x7dbl_4"),
      try row(c, 192, "branch7x7dbl_5"),
    ]
    branchPool = try InceptionConvolution(inputs, 192, w("branch_pool"))
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, in] → [B, H, W, 768]
    joinedChannels([
      branch1x1(x), branch7x7.reduce(x) { $1($0) }, branch7x7Twice.reduce(x) { $1($0) },
      branchPool(averagePool(x, window: 3, stride: 1, padding: 1)),
    ])
  }
}

/// Mixed_7a: halves the extents.
struct InceptionD {
  let branch3x3: [InceptionConvolution]
  let branch7x7: [InceptionConvolution]

  init(_ inputs: Int, _ w: NamedWeights) throws {
    branch3x3 = [
      try InceptionConvolution(inputs, 192, w("branch3x3_1")),
      try InceptionConvolution(192, 320, kernel: 3, stride: 2, w("branch3x3_2")),
    ]
    branch7x7 = [
      try InceptionConvolution(inputs, 192, w("branch7x7x3_1")),
      try InceptionConvolution(192, 192, kernel: (1, 7), padding: (0, 3), w("branch7x7x3_2")),
      try InceptionConvolution(192, 192, kernel: (7, 1), padding: (3, 0), w("branch7x7x3_3")),
      try InceptionConvolution(192, 192, kernel: 3, stride: 2, w("branch7x7x3_4")),
    ]
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, in] → [B, H', W', 512 + in]
    joinedChannels([
      branch3x3.reduce(x) { $1($0) }, branch7x7.reduce(x) { $1($0) },
      maxPool(x, window: 3, stride: 2),
    ])
  }
}

/// Mixed_7b and Mixed_7c: 3×3 as a row beside a column.
struct InceptionE {
  enum Pool { case average, maximum }

  let pool: Pool
  let branch1x1, branchPool: InceptionConvolution
  let branch3x3, branch3x3Row, branch3x3Column: InceptionConvolution
  let branchTwiceA, branchTwiceB, branchTwiceRow, branchTwiceColumn: InceptionConvolution

  init(_ inputs: Int, pool: Pool, _ w: NamedWeights) throws {
    func row(_ name: String) throws -> InceptionConvolution {
      try InceptionConvolution(384, 384, kernel: (1, 3), padding: (0, 1), w(name))
    }
    func column(_ name: String) throws -> InceptionConvolution {
      try InceptionConvolution(384, 384, kernel: (3, 1), padding: (1, 0), w(name))
    }
    self.pool = pool
    branch1x1 = try InceptionConvolution(inputs, 320, w("branch1x1"))
    branch3x3 = try InceptionConvolution(inputs, 384, w("branch3x3_1"))
    branch3x3Row = try row("branch3x3_2a")
    branch3x3Column = try column("branch3x3_2b")
    branchTwiceA = try InceptionConvolution(inputs, 448, w("branch3x3dbl_1"))
    branchTwiceB = try InceptionConvolution(448, 384, kernel: 3, padding: 1, w("branch3x3dbl_2"))
    branchTwiceRow = try row("branch3x3dbl_3a")
    branchTwiceColumn = try column("branch3x3dbl_3b")
    branchPool = try InceptionConvolution(inputs, 192, w("branch_pool"))
  }

  func callAsFunction(_ x: Tensor) -> Tensor {  // [B, H, W, in] → [B, H, W, 2048]
    let once = branch3x3(x)  // [B, H, W, 384]
    let twice = branchTwiceB(branchTwiceA(x))  // [B, H, W, 384]
    let pooled = pool == .average
      ? averagePool(x, window: 3, stride: 1, padding: 1)
      : maxPool(x, window: 3, stride: 1, padding: 1)
    return joinedChannels([
      branch1x1(x), branch3x3Row(once), branch3x3Column(once), branchTwiceRow(twice),
      branchTwiceColumn(twice), branchPool(pooled),
    ])
  }
}
