import FlowTensor

/// Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598): u + s·(c − u), where c is the
/// field under the condition and u the one under the null label.
///
/// Both come from one call on a doubled batch, [conditional; unconditional]. Times outside
/// `interval` use s = 1 (Kynkäänniemi et al. 2024, arXiv 2404.07724); where no sample of the batch
/// lies inside it, the batch is not doubled. A sample's bits depend on the size of the batch it
/// sits in, so the batch, its times included, must itself be fixed (it is in a work item).
public struct GuidedField<Field: VelocityField>: VelocityField {
  public let field: Field
  public let scale: Float
  public let nullLabel: Int
  public let interval: ClosedRange<Float>

  public init(
    _ field: Field, scale: Float, nullLabel: Int,
    interval: ClosedRange<Float> = -.infinity ... .infinity
  ) {
    self.field = field
    self.scale = scale
    self.nullLabel = nullLabel
    self.interval = interval
  }

  public func callAsFunction(_ x: Tensor, t: Tensor, condition: Condition) -> Tensor {
    let scales = t.values.map { interval.contains($0) ? scale : 1 }  // [B]
    if scales.allSatisfy({ $0 == 1 }) { return field(x, t: t, condition: condition) }
    precondition(
      condition.labels?.count == x.shape[0],
      "guidance of a batch \(x.shape) with \(condition.labels?.count ?? 0) labels")
    let both = Condition(
      labels: condition.labels! + Array(repeating: nullLabel, count: x.shape[0]),
      context: condition.context.map(doubled),
      crossContext: condition.crossContext.map(doubled),
      classShares: condition.classShares.map(doubled))
    let velocity = field(doubled(x), t: doubled(t), condition: both)  // [2B, …]
    let batch = x.shape[0]
    return linearCombination(
      [velocity.slice(0..<batch), velocity.slice(batch..<2 * batch)],
      coefficients: scales.flatMap { [$0, 1 - $0] })
  }
}

/// [B, …] → [2B, …], the batch twice.
private func doubled(_ x: Tensor) -> Tensor {
  let result = Tensor(uninitialized: Shape([2 * x.shape[0]] + x.shape.dims.dropFirst()))
  result.base.update(from: x.base, count: x.count)
  (result.base + x.count).update(from: x.base, count: x.count)
  return result
}
