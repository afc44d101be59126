import FlowNN
import FlowTensor

/// Computes one image through steps, each rank its own rows, strip after strip.
///
/// Between steps one map is stored. A step that needs the statistics of a map which it does not
/// store goes over its strips once for them and once more for the numbers. Rows come out with the
/// same numbers however they are cut into strips and shared by ranks: see `StripLayers`.
struct StripRun {
  let shares: RowShares

  /// - Parameters:
  ///   - input: [1, H, W, C], whole on every rank
  ///   - choices: one per step
  /// - Returns: the last step's result, whole on every rank
  func callAsFunction(
    _ steps: [StripStep], _ choices: [StripChoice], _ input: Tensor
  ) throws -> Tensor {
    precondition(steps.count == choices.count, "\(choices.count) choices for \(steps.count) steps")
    var map: RowMap?
    for (step, choice) in zip(steps, choices) {
      releaseFreeTensorMemory()
      switch step {
      case .convolve(let convolution):
        map = try stored(RowSource(whole: input).convolved(convolution), choice)
      case .residual(let residual, let upsampling):
        map = try self.residual(residual, upsampling, of: map.take()!, choice)
      case .attend(let attention):
        try attend(attention, in: map!, choice)
      case .halve(let convolution):
        map = try stored(map.take()!.source.halved(convolution), choice)
      case .finish(let norm, let convolution):
        return try finish(norm, convolution, map.take()!, choice)
      }
    }
    preconditionFailure("the last step of an autoencoder makes its result")
  }

  /// The map of what `source` gives. Collective.
  private func stored(_ source: RowSource, _ choice: StripChoice) throws -> RowMap {
    let map = RowMap(
      height: source.height, width: source.width, channels: source.channels, shares)
    for strip in map.rows.strips(of: choice.rows) {
      let y = source.rows(strip)
      map.view(strip).base.update(from: y.base, count: y.count)
      withExtendedLifetime(y) {}
    }
    try map.exchangeHalo(shares)
    return map
  }

  /// Of the whole map, on all ranks. Collective.
  private func statistics(
    of source: RowSource, _ norm: GroupNorm, _ choice: StripChoice
  ) throws -> GroupStatistics {
    let own = shares.rows(height: source.height).strips(of: choice.rows).flatMap {
      groupNormRowSums(source.rows($0), groups: norm.groups)
    }
    return GroupStatistics(
      rowSums: try shares.gather(own, height: source.height, perRow: 2 * norm.groups),
      groups: norm.groups, count: source.width * source.channels / norm.groups, eps: norm.eps)
  }

  private func residual(
    _ block: AutoencoderResidual, _ upsampling: Convolution?, of map: consuming RowMap,
    _ choice: StripChoice
  ) throws -> RowMap {
    if let upsampling, choice.storesUpsampled {
      map = try stored(map.source.upsampled(by: upsampling), choice)
      return try residual(block, nil, of: map, choice)
    }
    let x = upsampling.map { map.source.upsampled(by: $0) } ?? map.source
    let hidden = x.activated(block.norm1, try statistics(of: x, block.norm1, choice), block.conv1)
    let h = choice.storesHidden ? try stored(hidden, choice).source : hidden
    let update = h.activated(block.norm2, try statistics(of: h, block.norm2, choice), block.conv2)

    // In place where rows are of one size. A hidden map that is computed again asks for two rows
    // above a strip, so the sum of a strip goes two rows above its place until all are done.
    let isInPlace = x.isStored && block.shortcut == nil
    let lead = isInPlace && !choice.storesHidden ? RowShares.halo : 0
    let result = isInPlace
      ? map : RowMap(height: x.height, width: x.width, channels: update.channels, shares)
    for strip in result.rows.strips(of: choice.rows) {
      let change = update.rows(strip)
      let rows = x.rows(strip)
      let straight = block.shortcut?.pointwise(rows) ?? rows
      // The sum and its place may overlap: threads must not write the one into the other.
      linearCombination(straight, [change], coefficients: [1], into: change)
      let place = result.view(strip.lowerBound - lead..<strip.upperBound - lead)
      place.base.update(from: change.base, count: change.count)
      withExtendedLifetime(change) {}
    }
    result.shift(down: lead)
    try result.exchangeHalo(shares)
    return result
  }

  /// x += out(attention(norm(x))) for the own rows; keys and values of all rows are on every rank.
  private func attend(
    _ attention: AutoencoderAttention, in map: RowMap, _ choice: StripChoice
  ) throws {
    let statistics = try statistics(of: map.source, attention.norm, choice)
    func normalized(_ row: Int) -> Tensor {  // [1, 1, W, C]
      attention.norm(
        map.view(row..<row + 1), statistics, activation: .none, inPlace: false)
    }
    let (width, c) = (map.width, map.channels)
    let key = Tensor(uninitialized: [1, map.height, width, c])
    let value = Tensor(uninitialized: [1, map.height, width, c])
    for row in map.rows {
      let x = normalized(row)
      for (linear, whole) in [(attention.key, key), (attention.value, value)] {
        let y = linear(x)
        (whole.base + row * width * c).update(from: y.base, count: width * c)
        withExtendedLifetime(y) {}
      }
    }
    try shares.complete(key)
    try shares.complete(value)
    let tokens: Shape = [1, map.height * width, c]
    for row in map.rows {
      let query = attention.query(normalized(row)).reshaped([1, width, c])
      let mixed = FlowTensor.attention(
        query: query, key: key.reshaped(tokens), value: value.reshaped(tokens), heads: 1)
      let x = map.view(row..<row + 1)
      linearCombination(
        x, [attention.out(mixed).reshaped(x.shape)], coefficients: [1], into: x)
    }
    try map.exchangeHalo(shares)
  }

  private func finish(
    _ norm: GroupNorm, _ convolution: Convolution, _ map: RowMap, _ choice: StripChoice
  ) throws -> Tensor {
    let source = map.source.activated(
      norm, try statistics(of: map.source, norm, choice), convolution)
    let whole = Tensor(uninitialized: [1, map.height, map.width, source.channels])
    let row = map.width * source.channels
    for strip in map.rows.strips(of: choice.rows) {
      let y = source.rows(strip)
      (whole.base + strip.lowerBound * row).update(from: y.base, count: y.count)
      withExtendedLifetime(y) {}
    }
    try shares.complete(whole)
    return whole
  }
}
