import FlowData
import Foundation
import Testing

/// A row of the fixtures' manifest: a file, and what must become of it.
struct FileCase: Decodable, Sendable, CustomTestStringConvertible {
  enum Expectation: String, Decodable {
    case accept, reject, either
    case inert = "reject-or-inert"
    case recommended = "reject-recommended"
    case noCrash = "no-crash"
  }

  let file: String
  let expect: Expectation
  /// The safetensors file with the tensors it must give.
  let expected: String?
  /// Name → type in PyTorch's words and shape, where there is no such file.
  let tensors: [String: JSONValue]?
  let what: String

  var testDescription: String { file }
  var path: String { FormatFixtures.file(file) }

  private static let extensions: Set = ["pth", "pt", "ckpt", "safetensors", "npy", "npz"]

  /// All cases of weights and arrays.
  static let all: [FileCase] = {
    guard let data = FileManager.default.contents(atPath: FormatFixtures.file("manifest.json")),
      let cases = try? JSONDecoder().decode([FileCase].self, from: data)
    else { return [] }
    return cases.filter { extensions.contains(URL(fileURLWithPath: $0.file).pathExtension) }
  }()

  /// Cases that must be read.
  static let good = all.filter { $0.expect == .accept || $0.expect == .either }

  /// Cases that must be refused.
  static let bad = all.filter { [.reject, .inert, .recommended].contains($0.expect) }

  /// The name in the expected file of what this file calls `name`.
  func expectedName(_ name: String) -> String {
    if file == "arrays.npz" { return name == "a" ? "f32" : "i64" }
    if name == NumPyFile.bareName {
      return String(file.dropFirst("array_".count).prefix { $0 != "." })
    }
    return name
  }
}

/// Every tensor's bytes read once, as a loader would.
func readAll(_ source: any TensorSource) throws {
  for name in source.names { _ = try source.withBytes(name) { $0.count } }
}
