import Diagnostics
import FlowData
import Foundation
import Worker

/// What `latentflow inspect` tells of one thing.
protocol InspectionReport: Encodable {
  /// For a person, whole lines.
  var text: String { get }
  /// Whether everything is what its hashes say.
  var isGood: Bool { get }
}

/// A weights file of any format.
struct FileReport: InspectionReport {
  struct TensorEntry: Encodable {
    let name: String
    let dtype: String
    let shape: [Int]
  }

  /// The format.
  let kind: String
  let path: String
  let bytes: Int
  /// Elements of all tensors: the parameter count, in a file of weights.
  let elements: Int
  let tensors: [TensorEntry]
  let metadata: [String: String]
  /// The network that has these weights, if it is a known one.
  let network: NetworkReport?
  /// What an autoencoder's weights are, if they are that.
  let autoencoder: String?

  var isGood: Bool { true }

  /// - Parameter question: nil leaves out the network.
  init(_ path: String, _ question: CostQuestion? = nil) throws {
    let file = try TensorFile.open(path)
    kind = file.format.rawValue
    self.path = path
    bytes = file.byteCount
    var elements = 0
    tensors = try file.names.map { name in
      let shape = try file.shape(name)
      elements += shape.count
      return TensorEntry(
        name: name, dtype: try file.dtype(name).rawValue, shape: shape.dims)
    }
    self.elements = elements
    metadata = file.metadata
    network = try question.flatMap { try FileReport.network(file, $0) }
    autoencoder =
      question != nil && network == nil
      ? (try? AutoencoderFile(path).configuration).map { stage in
        "AutoencoderKL, \(stage.latentChannels) latent channels, a latent pixel for "
          + "\(stage.downsamplingFactor)×\(stage.downsamplingFactor) pixels"
      } : nil
  }

  private static func network(
    _ file: any TensorSource, _ question: CostQuestion
  ) throws -> NetworkReport? {
    if file.metadata[ModelFileHeader.key] != nil {
      let header = try ModelFileHeader(of: file)
      let config = try RunConfig(ConfigDocument(text: header.config, name: file.path))
      return NetworkReport(
        try config.model.specification(latentShape: header.latentShape), config, question)
    }
    guard
      let network = try RecognizedNetwork(file, resolution: question.latentShape?[0])
    else { return nil }
    return NetworkReport(
      network.specification, nil, question, assumptions: network.assumptions)
  }

  /// Whether the file says that it holds a model's weights.
  private var holdsWeights: Bool {
    metadata[ModelFileHeader.key] != nil || autoencoder != nil || network != nil
  }

  var text: String {
    let counted = holdsWeights ? "parameters" : "elements"
    var text =
      "\(path): \(kind), \(grouped(bytes)) bytes, \(grouped(tensors.count)) tensors, "
      + "\(grouped(elements)) \(counted)\n"
    if !metadata.isEmpty { text += "\nmetadata\n" + metadataText }
    if !tensors.isEmpty { text += "\ntensors\n" + tensorsText }
    if let network { text += "\n" + network.text }
    if let autoencoder { text += "\nnetwork \(autoencoder)\n" }
    return text
  }

  private var metadataText: String {
    var table = TextTable()
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
      if key == ModelFileHeader.key, let header = try? ModelFileHeader(text: value) {
        for (name, field) in header.lines { table.append("\(key) \(name)", field) }
      } else {
        table.append(oneLine(key), oneLine(value))
      }
    }
    return table.text(indent: 2)
  }

  var tensorsText: String {
    var table = TextTable()
    for tensor in tensors {
      table.append(oneLine(tensor.name), tensor.dtype, "\(tensor.shape)")
    }
    return table.text(indent: 2)
  }
}

extension ModelFileHeader {
  fileprivate init(text: String) throws {
    self = try JSONDecoder().decode(ModelFileHeader.self, from: Data(text.utf8))
  }

  /// Its fields but the configuration, which `--json` has whole.
  fileprivate var lines: [(String, String)] {
    let small = lowShape.map { [("low-resolution latents", "\($0)")] } ?? []
    return [("step", "\(step)"), ("latent shape", "\(latentShape)")] + small + [
      ("scale", "\(scale)"),
      (
        "classes",
        classNames.isEmpty
          ? "none"
          : "\(classNames.count): "
            + oneLine(
              classNames.joined(separator: ", "))
      ),
      ("first stage", firstStage.isEmpty ? "none" : oneLine(firstStage)),
      ("first stage hash", oneLine(firstStageHash)),
      ("configuration", "\(config.split(separator: "\n").count) lines"),
    ]
  }
}

extension UserError {
  /// What is wrong, without the advice.
  var summary: String {
    var copy = self
    copy.advice = nil
    return copy.description
  }
}

/// 1234567 as 1,234,567.
func grouped(_ n: Int) -> String {
  var digits = String(n.magnitude)
  var groups: [String] = []
  while digits.count > 3 {
    groups.insert(String(digits.suffix(3)), at: 0)
    digits.removeLast(3)
  }
  return (n < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
}

/// Text from a file, fit for a line: without control characters, at most 100 characters.
func oneLine(_ text: String) -> String {
  let head = text.prefix(100)
  let plain = head.unicodeScalars.map { scalar in
    scalar.properties.generalCategory == .control ? scalar.escaped(asASCII: true) : String(scalar)
  }.joined()
  return head.endIndex == text.endIndex ? plain : plain + "… (\(grouped(text.count)) characters)"
}
