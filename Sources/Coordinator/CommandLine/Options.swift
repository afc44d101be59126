import ArgumentParser
import Diagnostics
import Foundation
import RunFormat

/// `--threads`
public struct ThreadOptions: ParsableArguments {
  @Option(help: "Threads of each rank. (default: usable cores ÷ ranks on this node)")
  public var threads: Int?

  public init() {}

  public func validate() throws {
    if let threads, !(1...4096).contains(threads) {
      throw ValidationError("--threads \(threads): found \(threads); expected 1 to 4096.")
    }
  }

  /// The threads that this rank uses.
  public func count(ranksOnNode: Int, cores: Int = HostDescription.usableCores) -> Int {
    threads ?? max(1, cores / max(1, ranksOnNode))
  }
}

/// `--seed`
public struct SeedOptions: ParsableArguments {
  @Option(help: "Seed of every random draw. (default: that of the configuration, or 0)")
  public var seed: UInt64?

  public init() {}
}

/// `--json`
public struct OutputOptions: ParsableArguments {
  @Flag(help: "Print the result as JSON on standard output.")
  public var json = false

  public init() {}
}

/// `CONFIG [a.b=c …] [--print-config]`, as `train` and `train-autoencoder` take them.
public struct ConfigArguments: ParsableArguments {
  @Argument(help: "The configuration, a YAML file.", completion: .file(extensions: ["yaml"]))
  public var config: String

  @Argument(help: "Fields to override, as in optimizer.lr=1e-4.")
  public var overrides: [String] = []

  @Flag(help: "Print the resolved configuration and stop.")
  public var printConfig = false

  public init() {}

  /// Reads the configuration.  With `--print-config`, prints it and ends the command with status 0
  /// (by throwing `ExitCode.success`), so call this before anything else.
  ///
  /// - Parameters:
  ///   - shortcuts: overrides that stand for options of the command (`training.steps=100` for
  ///     `--steps 100`); they come after those of the command line.
  ///   - isSpeaker: whether this rank prints.
  public func load<C: RootConfiguration>(
    _: C.Type, shortcuts: [String] = [], isSpeaker: Bool = Launch.isSpeaker
  ) throws -> C {
    let loaded = try C.load(file: config, overrides: overrides + shortcuts)
    guard printConfig else { return loaded }
    if isSpeaker { try StandardOutput.write(loaded.yaml) }
    throw ExitCode.success
  }
}
