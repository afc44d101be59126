import FlowComm
import FlowCore
import FlowNN
import Worker

// From the words of a configuration to what the workers compute with.

extension PathConfig {
  var path: any ProbabilityPath {
    switch self {
    case .noising(let sigma): NoisingPath(sigmaMin: Float(sigma))
    case .linear(let sigma): LinearPath(sigmaMin: Float(sigma))
    case .gvp: GVPPath()
    }
  }
}

extension CouplingConfig {
  var coupling: any Coupling {
    let base: any Coupling = upsampling?.coupling ?? IndependentCoupling()
    return transportGroup.map { OptimalTransportCoupling(base, groupSize: $0) } ?? base
  }

  /// Whether latents go through pixels on the way.
  var needsCodec: Bool { upsampling?.coupling.needsCodec ?? false }

  /// What the rows of the data must hold beside latents.
  var contents: RowContents { upsampling == nil ? [] : .low }
}

extension CouplingConfig.Upsampling {
  var coupling: UpsamplingCoupling {
    let diffusion = ForwardDiffusion(
      schedule == .cosine ? .shiftedCosine(size: imageSize, reference: referenceSize) : .linear(),
      steps: noisingSteps)
    let start: UpsamplingCoupling.Start =
      switch self.start {
      case .latent: .latent
      case .noised: .noised(diffusion, step: noisingStep)
      case .noise: .noise
      }
    return UpsamplingCoupling(
      start: start, upsampling: mode.upsampling, context: context?.upsampling,
      crossContext: crossContext?.upsampling)
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
  var learningRate: Double { adam.lr }

  var configuration: FlowNN.AdamW.Configuration {
    let decay: FlowNN.AdamW.WeightDecay =
      switch self {
      case .adamw(let adam): .decoupled(adam.weightDecay)
      case .adam(let adam): .l2(adam.weightDecay)
      }
    return FlowNN.AdamW.Configuration(
      beta1: adam.betas[0], beta2: adam.betas[1], epsilon: adam.eps, weightDecay: decay)
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
    adam = optimizer.configuration
    clip = training.clip
    average = ema?.schedule
    maximumNonfinite = training.maxNonfinite
    exchange.method = training.reduction == .tree ? .tree : .mpi
    exchange.threadsPerRank = threads
  }
}

extension FirstStageConfig {
  /// Reads the weights.
  func open() throws -> FirstStage {
    switch stage {
    case .identity: .identity
    case .autoencoder(let path): try FirstStage.autoencoder(path)
    }
  }
}
