import ArgumentParser
import Diagnostics
import FlowData
import Worker

/// `--weights-only`, `--non-strict`: parameters that a new run begins with.
struct StartOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Begin with the parameters of this file, run or checkpoint; the optimizer begins anew."))
  var weightsOnly: String?

  @Flag(help: "Take what fits of --weights-only and leave the rest as it is drawn.")
  var nonStrict = false

  func validate() throws {
    guard !nonStrict || weightsOnly != nil else {
      throw ValidationError("--non-strict: give --weights-only FILE, too.")
    }
  }

  /// Collective. A checkpoint that the run resumes from comes after it. A network with a context
  /// also takes the weights of one without.
  func load(into trainer: Trainer, _ run: TrainingRun<RunConfig>) throws {
    guard let weightsOnly else { return }
    try run.job.communicator.together {
      let (place, warnings) = try locateWeights(weightsOnly, averaged: false)
      let loading = try trainer.optimizer.start(
        from: TensorFile.open(place), strict: !nonStrict, widening: trainer.network.widening)
      warnings.forEach(run.say)
      let prefix = loading.prefix.isEmpty ? "" : ", under \(oneLine(loading.prefix))"
      run.say("parameters of \(place): \(loading.loaded) tensors read\(prefix)")
      loading.news.forEach(run.say)
      if !loading.problems.isEmpty {
        run.say("\(loading.summary):\n  \(loading.table())")
      }
      guard loading.loaded > 0 else {
        throw UserError(
          .badData, place, found: "no tensor that the network has", expected: "its weights",
          advice: loading.table())
      }
    }
  }
}
