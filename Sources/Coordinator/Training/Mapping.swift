import Diagnostics
import FlowComm
import FlowCore
import FlowModels
import FlowNN
import Worker

// From the words of a configuration to what the workers compute with.

extension ModelConfig {
  /// - Parameter latentShape: [H, W, C] of the data.
  func specification(latentShape: [Int]) throws -> NetworkSpecification {
    switch self {
    case .dit(let dit):
      guard latentShape[0] == latentShape[1] else {
        throw UserError(
          .config, "model.kind", found: "dit for latents of \(latentShape[0])×\(latentShape[1])",
          expected: "square latents")
      }
      guard latentShape[0] % dit.patch == 0 else {
        throw UserError(
          .config, "model.patch", found: "\(dit.patch) for latents of \(latentShape[0]) pixels",
          expected: "a divisor of \(latentShape[0])")
      }
      return .dit(
        DiT.Configuration(
          resolution: latentShape[0], channels: latentShape[2], patch: dit.patch,
          width: dit.width, depth: dit.depth, heads: dit.heads, mlpRatio: dit.mlpRatio,
          classes: max(1, dit.classes), hasNullClass: dit.labelDropout > 0,
          timeScale: Float(dit.timeScale)))
    }
  }

  /// Real classes; 0 for a network without labels.
  var classes: Int {
    switch self {
    case .dit(let dit): dit.classes
    }
  }

  var labelDropout: Double {
    switch self {
    case .dit(let dit): dit.labelDropout
    }
  }
}

extension PathConfig {
  var path: any ProbabilityPath {
    switch self {
    case .noising(let sigma): NoisingPath(sigmaMin: Float(sigma))
    case .linear(let sigma): LinearPath(sigmaMin: Float(sigma))
    case .gvp: GVPPath()
    }
  }
}

extension TimeConfig {
  var sampler: TimeSampler {
    switch self {
    case .uniform: .uniform
    case .logitNormal(let mean, let std): .logitNormal(mean: mean, deviation: std)
    }
  }
}

extension OptimizerConfig {
  var learningRate: Double {
    switch self {
    case .adamw(let adamw): adamw.lr
    }
  }

  var adam: FlowNN.AdamW.Configuration {
    switch self {
    case .adamw(let adamw):
      FlowNN.AdamW.Configuration(
        beta1: adamw.betas[0], beta2: adamw.betas[1], epsilon: adamw.eps,
        weightDecay: .decoupled(adamw.weightDecay))
    }
  }
}

extension ScheduleConfig {
  /// - Parameter learningRate: the top of the schedule; `final` is a factor of it.
  func schedule(steps: Int, learningRate: Double) -> LearningRateSchedule {
    switch self {
    case .constant(let warmup):
      warmup == 0 ? .constant : .constantWithWarmup(steps: warmup)
    case .cosine(let warmup, let final):
      .cosineDecay(warmup: warmup, total: steps, floor: final * learningRate)
    case .linear(let warmup, let final):
      .linearDecay(warmup: warmup, total: steps, floor: final * learningRate)
    }
  }
}

extension EMAConfig {
  var schedule: AverageSchedule {
    switch kind {
    case .constant: .constant(decay: decay)
    case .power(let law):
      .powerLaw(
        PowerLawAverage(
          beta: decay, updateAfterStep: law.updateAfter, updateEvery: law.updateEvery,
          inverseGamma: law.inverseGamma, power: law.power, minimum: law.minimum))
    }
  }
}

extension DataParallelOptimizer.Settings {
  init(
    _ training: TrainingConfig, _ optimizer: OptimizerConfig, _ ema: EMAConfig?, threads: Int
  ) {
    self.init()
    microBatches = training.microBatches
    adam = optimizer.adam
    clip = training.clip
    average = ema?.schedule
    maximumNonfinite = training.maxNonfinite
    exchange.method = training.reduction == .tree ? .tree : .mpi
    exchange.threadsPerRank = threads
  }
}
