import ArgumentParser

/// The `latentflow` command.
public struct LatentFlow: ParsableCommand {
  public static let version = "0.1.0"

  public static let configuration = CommandConfiguration(
    commandName: "latentflow",
    abstract: "Trains, samples and evaluates latent flow-matching models, alone or under mpirun.",
    discussion: """
      Example:
        scripts/run.sh 2 latentflow train configs/shapes-dit-demo.yaml --run runs/a

      Exit status:
        0   done                       70  a defect of the program
        1   a check did not hold       74  the system refused
        64  wrong command line         75  interrupted after a checkpoint: run again
        65  bad data                   78  wrong configuration
        66  missing input
      """,
    version: version,
    subcommands: [
      DatasetCommand.self, TrainAutoencoderCommand.self, EncodeCommand.self,
      ReconstructCommand.self, TrainCommand.self, SampleCommand.self, UpscaleCommand.self,
      InpaintCommand.self, SynthesizeCommand.self, EvaluateCommand.self, ValidateCommand.self,
      EvaluateInpaintingCommand.self, StatisticsCommand.self, CompareCommand.self,
      SweepCommand.self, BoundCommand.self, InspectCommand.self, VerifyCommand.self,
      ConvertCommand.self, DebugCommand.self, BenchCommand.self, ConfigCommand.self,
      ImportConfigCommand.self,
    ])

  public init() {}
}
