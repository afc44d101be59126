import FlowTensor

/// ((7ai² + 3ij + 5bj + 11i) mod 23) / 23, [count, width]: other programs can make the same.
func formulaFeatures(_ count: Int, _ width: Int = 6, a: Int = 1, b: Int = 1) -> Tensor {
  let values = (0..<count * width).map { n in
    let (i, j) = n.quotientAndRemainder(dividingBy: width)
    return Float((7 * a * i * i + 3 * i * j + 5 * b * j + 11 * i) % 23) / 23
  }
  return Tensor([count, width], values)
}

func relative(_ found: Double, _ expected: Double) -> Double {
  abs(found - expected) / abs(expected)
}
