import Diagnostics

/// What makes latents of images and images of latents.
public struct FirstStageConfig: ConfigSection {
  public enum Stage: Sendable, Equatable {
    /// An AutoencoderKL: a file, or a folder that holds one.
    case autoencoder(path: String)
    /// Pixels are their own latents.
    case identity
  }

  public enum Scale: Sendable, Equatable {
    /// 1 / standard deviation of the cache.
    case auto
    case factor(Double)
  }

  private enum Kind: String, CaseIterable { case autoencoder, identity }

  public var stage = Stage.autoencoder(path: "models/shapes-autoencoder")
  public var scale = Scale.auto

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    var kind = stage == .identity ? Kind.identity : .autoencoder
    try fields.choice("kind", &kind)
    switch kind {
    case .identity:
      fields.inapplicable("path", because: "first_stage.kind is identity")
      stage = .identity
    case .autoencoder:
      var path = "models/shapes-autoencoder"
      if case .autoencoder(let given) = stage { path = given }
      try fields.string("path", &path)
      stage = .autoencoder(path: path)
    }
    var factor: Double?
    if case .factor(let given) = scale { factor = given }
    try fields.number("scale", &factor, or: "auto", .positive)
    scale = factor.map { .factor($0) } ?? .auto
  }
}
