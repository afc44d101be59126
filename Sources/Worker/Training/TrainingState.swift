import Diagnostics
import FlowComm
import FlowData
import FlowNN
import FlowTensor
import Foundation

// Checkpoints of a `DataParallelOptimizer`. Whole parameters and their average go into files of
// their own, under the reference's names; every rank writes its shard of the moments.
extension DataParallelOptimizer {
  /// Collective: writes the checkpoint of the finished steps and makes it visible by one rename.
  ///
  /// - Parameters:
  ///   - metadata: goes into the headers of `model` and `ema`.
  ///   - keep: checkpoints to keep, older ones are removed afterwards.
  /// - Throws: the same `UserError` on all ranks; earlier checkpoints are untouched.
  public func save(
    to checkpoints: CheckpointStore, seed: UInt64, configHash: String,
    metadata: [String: String], fields: [String: JSONValue], keep: Int
  ) throws {
    let rank = communicator.rank
    try communicator.together { if rank == 0 { _ = try checkpoints.begin(step: step) } }
    let whole = try averagedParameters()
    try communicator.together {
      let draft = checkpoints.join(step: step)
      _ = try draft.write(
        stateTensors(), metadata: ["range": "\(shard.lowerBound)..<\(shard.upperBound)"],
        to: draft.state(rank: rank, of: communicator.size))
      guard rank == 0 else { return }
      _ = try draft.write(
        parameterTensors(of: store, in: store.values!.base), metadata: metadata, to: draft.model)
      _ = try draft.write(
        parameterTensors(of: store, in: whole.base), metadata: metadata, to: draft.ema)
    }
    try communicator.together {
      guard rank == 0 else { return }
      var all = fields
      all["skipped_steps"] = .number(Double(skippedSteps))
      all["segments"] = .array(
        segments.map {
          .array([.number(Double($0.stepCount)), .bool($0.hasAverage)])
        })
      _ = try checkpoints.commit(
        checkpoints.join(step: step),
        CheckpointManifest(
          step: step, seed: seed, configHash: configHash, ranks: communicator.size, fields: all))
      _ = try checkpoints.prune(keepLast: keep, knownGood: step)
    }
  }

  /// Reads a checkpoint written by any number of ranks. Throws on this rank alone: call it inside
  /// `together`.
  public func load(_ checkpoint: Checkpoint) throws {
    try loadParameters(into: store, from: SafetensorsFile(checkpoint.model))
    for writer in 0..<checkpoint.manifest.ranks {
      try loadState(SafetensorsFile(checkpoint.state(rank: writer)))
    }
    let facts = checkpoint.manifest.fields["segments"]?.array ?? []
    guard facts.count == segments.count else {
      throw UserError(
        .badData, checkpoint.folder + "/" + CheckpointManifest.fileName, at: "field segments",
        found: "\(facts.count) parameters", expected: "\(segments.count)")
    }
    for (i, fact) in facts.enumerated() {
      segments[i].stepCount = fact[0]?.int ?? 0
      segments[i].hasAverage = fact[1]?.bool ?? false
    }
    step = checkpoint.step
    skippedSteps = checkpoint.manifest.fields["skipped_steps"]?.int ?? 0
    skippedInARow = 0
  }

  /// Takes the parameters of `file` in place of drawn ones; the average begins as a copy, and the
  /// moments at zero. Throws on this rank alone: call it inside `together`.
  ///
  /// - Parameters:
  ///   - strict: everything must agree; otherwise what does not keeps its values.
  ///   - widening: of the network, whose weights may then be those of one without its context.
  public func start(
    from file: any TensorSource, strict: Bool, widening: Widening = .none
  ) throws -> ParameterLoading {
    let loading = try loadParameters(
      into: store, from: file, strict: strict, widening: widening)
    average?.base.update(from: store.values!.base + shard.lowerBound, count: shard.count)
    return loading
  }

  /// Moments and average of this rank's shard.
  private func stateTensors() -> [SafetensorsTensor] {
    var tensors = [
      SafetensorsTensor("first_moment", [shard.count], firstMoment.base),
      SafetensorsTensor("second_moment", [shard.count], secondMoment.base),
    ]
    if let average {
      tensors.append(SafetensorsTensor("average", [shard.count], average.base))
    }
    return tensors
  }

  /// Copies what a rank's state file holds of this rank's shard.
  private func loadState(_ file: SafetensorsFile) throws {
    let bounds = (file.metadata["range"] ?? "").components(separatedBy: "..<")
      .compactMap { Int($0) }
    guard bounds.count == 2, bounds[0] >= 0, bounds[0] <= bounds[1] else {
      throw UserError(
        .badData, file.path, at: "metadata range", found: file.metadata["range"] ?? "nothing",
        expected: "a range of the parameter arena")
    }
    let written = bounds[0]..<bounds[1]
    let common = written.clamped(to: shard)
    if common.isEmpty { return }
    var targets = [("first_moment", firstMoment), ("second_moment", secondMoment)]
    if let average { targets.append(("average", average)) }
    for (name, storage) in targets {
      let source = try file.tensor(name)
      guard source.count == written.count else {
        throw UserError(
          .badData, file.path, at: "tensor \(name)", found: "\(source.count) elements",
          expected: "\(written.count)")
      }
      (storage.base + common.lowerBound - shard.lowerBound).update(
        from: source.base + common.lowerBound - written.lowerBound, count: common.count)
    }
  }

  /// Collective: the running average of all parameters, or the parameters themselves if none is
  /// kept; an arena.
  public func averagedParameters() throws -> Storage {
    let whole = Storage(count: store.arenaCount)
    whole.base.update(from: store.values!.base, count: store.arenaCount)
    guard let average else { return whole }
    (whole.base + shard.lowerBound).update(from: average.base, count: shard.count)
    try exchange.gatherParameters(whole.base)
    return whole
  }
}
