import ArgumentParser
import Diagnostics
import FlowData
import FlowModels
import Worker

extension PerceptualNetwork.Backbone: ExpressibleByArgument {}

/// What completed pictures are judged by: `--inception`, `--features-of`, `--lpips`.
struct PairOptions: ParsableArguments {
  @Option(help: "Inception weights, pytorch-fid's pt_inception-2015-12-05 (.pth, .safetensors).")
  var inception: String?
  @Option(help: "An autoencoder whose middle block gives the features instead; never called FID.")
  var featuresOf: String?
  @Option(help: "Weights of LPIPS: a whole one, or its channel weights beside --lpips-backbone.")
  var lpips: String?
  @Option(help: "torchvision's weights of the backbone, where --lpips does not hold them.")
  var lpipsBackbone: String?
  @Option(help: "The backbone of LPIPS: alex or vgg.")
  var lpipsKind = PerceptualNetwork.Backbone.alex

  func validate() throws {
    if inception != nil && featuresOf != nil {
      throw ValidationError("give either --inception or --features-of.")
    }
    if lpips == nil && lpipsBackbone != nil {
      throw ValidationError("--lpips-backbone goes with --lpips.")
    }
  }

  /// nil where no network is named: then there are no P-IDS, U-IDS and Fréchet distance.
  func extractor() throws -> FeatureExtractor? {
    guard inception != nil || featuresOf != nil else { return nil }
    return try FeatureExtractor(
      inception: inception, autoencoder: featuresOf, firstStage: nil,
      orThrow: UserError(
        .usage, "--features-of", found: "a first stage without features",
        expected: "an autoencoder"))
  }

  /// The network of LPIPS and the SHA-256 of its files, one behind the other.
  func perceptual() throws -> (network: PerceptualNetwork, hash: String)? {
    guard let lpips else { return nil }
    let backbone = lpipsBackbone ?? lpips
    let network = try PerceptualNetwork(
      lpipsKind, weights: NamedWeights(try TensorFile.open(backbone)),
      linear: NamedWeights(try TensorFile.open(lpips)))
    let files = [lpips, lpipsBackbone].compactMap(\.self)
    return (network, try files.map { try sha256Hex(ofFile: $0) }.joined())
  }
}
