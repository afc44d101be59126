import ArgumentParser
import Diagnostics
import FlowCore
import Foundation
import Worker

/// What samples are a function of beside solver and guidance's scale: what `sample`, `evaluate` and
/// `sweep` share.
struct DrawOptions: ParsableArguments {
  @Option(help: "The weights of an argument file, if they are not where it says.")
  var weights: String?
  @Option(help: "all (in turn), uniform (drawn), or numbers in turn, as 0,5,2.")
  var labels = "uniform"
  @Option(help: "Times a,b of the model between which guidance applies. (default: all)")
  var guidanceInterval: String?
  @OptionGroup var seeding: SeedOptions
  @Flag(help: "Use the trained parameters rather than their running average.")
  var noEma = false
  @Option(help: "The first stage, if it has moved since training.")
  var autoencoder: String?

  func validate() throws { _ = try guidedTimes() }

  /// Collective: reads the model.
  func load(
    _ model: String, _ job: Job, task: ModelTask = .generation
  ) throws -> LoadedModel {
    try job.communicator.together {
      try LoadedModel(
        model, averaged: !noEma, autoencoder: autoencoder, weights: weights, task: task,
        warn: job.isCoordinator)
    }
  }

  /// - Parameter option: names the guidance's scale in messages.
  func plan(
    _ loaded: LoadedModel, _ solver: any FlowSampler, guidance: Double, option: String = "--cfg"
  ) throws -> SamplingPlan {
    if guidance != 1 && (loaded.config.model.classes == 0 || loaded.specification.nullLabel == nil)
    {
      throw UserError(
        .usage, option, found: "\(guidance) on a model without a null label", expected: "1",
        advice: "guidance needs a model trained with model.label_dropout above 0")
    }
    return SamplingPlan(
      seed: seeding.seed ?? 0, solver: solver, guidance: Float(guidance),
      guidanceInterval: try guidedTimes(), labels: try labelChoice(loaded),
      path: loaded.config.path.path, scale: Float(loaded.header.scale),
      coupling: loaded.config.coupling.coupling)
  }

  private func guidedTimes() throws -> ClosedRange<Float> {
    guard let text = guidanceInterval else { return -.infinity ... .infinity }
    guard let ends = numbers(text), ends.count == 2, ends[0] <= ends[1] else {
      throw ValidationError(
        "--guidance-interval \(text): expected two times, as 0.2,0.8, the smaller first.")
    }
    return Float(ends[0])...Float(ends[1])
  }

  private func labelChoice(_ loaded: LoadedModel) throws -> LabelChoice {
    let classes = loaded.config.model.classes
    if classes == 0 {
      guard labels == "uniform" else {
        throw UserError(
          .usage, "--labels", found: "\(labels) for a model without labels", expected: "none")
      }
      return .none
    }
    if labels == "uniform" { return .uniform(classes: classes) }
    if labels == "all" { return .cycle(Array(0..<classes)) }
    let numbers = try labels.split(separator: ",", omittingEmptySubsequences: false).map { text in
      guard let label = Int(text), (0..<classes).contains(label) else {
        throw UserError(
          .usage, "--labels", found: "«\(text)»", expected: "a class from 0 to \(classes - 1)",
          advice: classes == loaded.header.classNames.count
            ? loaded.header.classNames.enumerated().map { "\($0.offset) \($0.element)" }
              .joined(separator: ", ") : nil)
      }
      return label
    }
    return .cycle(numbers)
  }
}

/// How samples are drawn: what `sample` and `evaluate` share.
struct SamplingOptions: ParsableArguments {
  @OptionGroup var drawing: DrawOptions
  @Option(help: "Scale s of classifier-free guidance, u + s·(c − u). (default: 1, none)")
  var cfg: Double?
  @OptionGroup var solving: SolverOptions

  func validate() throws {
    if let cfg, !(cfg >= 0 && cfg.isFinite) {
      throw ValidationError("--cfg \(cfg): expected 0 or more.")
    }
  }

  /// Collective: reads the model and says what its samples will be a function of.
  func prepare(
    _ model: String, _ job: Job, task: ModelTask = .generation
  ) throws -> (LoadedModel, SamplingPlan) {
    let loaded = try drawing.load(model, job, task: task)
    var options = self
    if let sampling = loaded.sampling { options.follow(sampling, says: job.isCoordinator) }
    let plan = try job.communicator.together {
      try drawing.plan(
        loaded, try options.solving.sampler(along: loaded.config.path.path),
        guidance: options.cfg ?? 1)
    }
    return (loaded, plan)
  }

  /// Takes solver and guidance of an argument file where the command line says nothing of them.
  private mutating func follow(_ sampling: ImportedSampling, says: Bool) {
    if cfg == nil { cfg = sampling.guidance }
    let isSilent =
      solving.solver == "dopri5" && solving.steps == nil && solving.rtol == nil
      && solving.atol == nil
    guard isSilent else { return }
    (solving.solver, solving.steps) = (sampling.solver, sampling.steps)
    (solving.rtol, solving.atol) = (sampling.relativeTolerance, sampling.absoluteTolerance)
    if says { StandardError.say("solver of the argument file: \(sampling.solver)") }
  }
}
