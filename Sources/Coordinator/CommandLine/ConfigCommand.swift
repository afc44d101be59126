import ArgumentParser

/// `latentflow config`: what a configuration comes to.
public struct ConfigCommand: ParsableCommand {
  public static let configuration = CommandConfiguration(
    commandName: "config",
    abstract: "Prints the resolved configuration: file, overrides and defaults.",
    discussion: """
      Examples:
        latentflow config configs/shapes-dit.yaml
        latentflow config configs/shapes-dit.yaml optimizer.lr=1e-4 'optimizer.betas=[0.9, 0.95]'
        latentflow config configs/shapes-autoencoder.yaml --autoencoder
      """)

  @Argument(help: "The configuration, a YAML file.", completion: .file(extensions: ["yaml"]))
  var config: String

  @Argument(help: "Fields to override, as in optimizer.lr=1e-4.")
  var overrides: [String] = []

  @Flag(help: "The file configures train-autoencoder, not train.")
  var autoencoder = false

  public init() {}

  public func run() throws {
    let yaml =
      autoencoder
      ? try AutoencoderRunConfig.load(file: config, overrides: overrides).yaml
      : try RunConfig.load(file: config, overrides: overrides).yaml
    try StandardOutput.write(yaml)
  }
}
