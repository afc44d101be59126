import FlowNN
import FlowTensor

/// Where a block stands in the U-Net.
struct EDMStage: Equatable {
  /// The last part of its key, e.g. `8x8_block0`.
  let name: String
  /// Channels that it takes, those of the encoder that are concatenated behind the stream included.
  let inputs: Int
  let outputs: Int
  /// Extent of what it gives.
  let resolution: Int
  var resampling = EDMResampling.none
  var attends = false
  /// Takes what the encoder left, newest first.
  var takesSkip = false
}

/// The blocks of encoder and decoder in the order in which they run.
struct EDMPlan {
  let stem: Int
  private(set) var encoder: [EDMStage] = []
  private(set) var decoder: [EDMStage] = []
  var stages: [EDMStage] { encoder + decoder }

  /// - Parameters:
  ///   - stem: width of the first convolution.
  ///   - decoderAttendsOnce: only the last block of a level of the decoder attends, not all.
  init(_ shape: EDMShape, stem: Int, decoderAttendsOnce: Bool = false) {
    self.stem = stem
    var skips = [stem]
    var width = stem
    for (level, outputs) in shape.widths.enumerated() {
      let side = shape.resolution >> level
      let attends = shape.attentionResolutions.contains(side)
      if level > 0 {
        encoder.append(
          EDMStage(
            name: "\(side)x\(side)_down", inputs: width, outputs: width, resolution: side,
            resampling: .down))
        skips.append(width)
      }
      for block in 0..<shape.blocksPerLevel {
        encoder.append(
          EDMStage(
            name: "\(side)x\(side)_block\(block)", inputs: width, outputs: outputs,
            resolution: side, attends: attends))
        width = outputs
        skips.append(width)
      }
    }
    for (level, outputs) in shape.widths.enumerated().reversed() {
      let side = shape.resolution >> level
      let attends = shape.attentionResolutions.contains(side)
      if level == shape.widths.count - 1 {
        decoder += [true, false].enumerated().map { i, attends in
          EDMStage(
            name: "\(side)x\(side)_in\(i)", inputs: width, outputs: width, resolution: side,
            attends: attends)
        }
      } else {
        decoder.append(
          EDMStage(
            name: "\(side)x\(side)_up", inputs: width, outputs: width, resolution: side,
            resampling: .up))
      }
      for block in 0...shape.blocksPerLevel {
        let isLast = block == shape.blocksPerLevel
        decoder.append(
          EDMStage(
            name: "\(side)x\(side)_block\(block)", inputs: width + skips.removeLast(),
            outputs: outputs, resolution: side, attends: attends && (isLast || !decoderAttendsOnce),
            takesSkip: true))
        width = outputs
      }
    }
  }

  /// Multiply-adds of one sample.
  func products(_ style: EDMBlockStyle, inputs: Int, side: Int) -> Double {
    stages.reduce(Double(9 * inputs * stem * side * side)) { $0 + style.products($1) }
  }
}

/// Encoder and decoder of a U-Net (Ronneberger et al. 2015, arXiv 1505.04597).
struct EDMTrunk {
  let stem: Convolution
  let encoder: [EDMBlock]
  /// In front of each block of the encoder that halves: the input itself, halved as often, as a
  /// residual (NCSN++; Song et al. 2021, arXiv 2011.13456, appendix H).
  let auxiliary: [EDMAuxiliary?]
  let decoder: [EDMBlock]

  init(
    _ plan: EDMPlan, _ style: EDMBlockStyle, shape: EDMShape, auxiliary hasAuxiliary: Bool,
    _ scope: Scope
  ) {
    let (enc, side) = (scope("enc"), shape.resolution)
    stem = style.convolution(
      shape.inputChannels, plan.stem, kernel: 3, .plain, enc("\(side)x\(side)_conv"))
    encoder = plan.encoder.map { EDMBlock($0, style, enc($0.name)) }
    var inputs = shape.inputChannels
    auxiliary = plan.encoder.map { stage in
      guard hasAuxiliary && stage.resampling == .down else { return nil }
      defer { inputs = stage.outputs }
      return EDMAuxiliary(
        inputs, stage.outputs, style,
        enc("\(stage.resolution)x\(stage.resolution)_aux_residual"))
    }
    decoder = plan.decoder.map { EDMBlock($0, style, scope("dec")($0.name)) }
  }

  /// - Parameters:
  ///   - x: [B, H, W, input channels]
  ///   - embedding: of time and label, [B, 4·model channels]
  ///   - context: what transformer blocks attend to, [B, 4·model channels]
  /// - Returns: [B, H, W, width of the first level]
  func callAsFunction(_ x: Tensor, embedding: Tensor, context: Tensor? = nil) -> Tensor {
    var h = stem(x)
    var skips = [h]
    var residual = x
    for (block, auxiliary) in zip(encoder, auxiliary) {
      h = block(h, embedding: embedding, context: context)
      if let auxiliary {
        h = auxiliary(residual, added: h)
        residual = h
      }
      skips.append(h)
    }
    for block in decoder {
      if block.takesSkip { h = concatenate(h, skips.removeLast()) }
      h = block(h, embedding: embedding, context: context)
    }
    return h
  }
}

/// (h + halved(conv(x)))·√½
struct EDMAuxiliary {
  let convolution: Convolution
  let scale: Float

  init(_ inputs: Int, _ outputs: Int, _ style: EDMBlockStyle, _ scope: Scope) {
    // One pixel more than the kernel needs on each side: the filter sees beyond the border.
    convolution = style.convolution(
      inputs, outputs, kernel: 3, padding: Padding(2), .plain, scope)
    scale = style.skipScale
    style.filter.declare(scope)
  }

  func callAsFunction(_ x: Tensor, added h: Tensor) -> Tensor {
    scale * (h + downsampleBinomial(convolution(x), padding: 0))
  }
}
