import Diagnostics
import FlowTensor
import Foundation

/// What kind of file tensors come from.
public enum TensorFormat: String, Sendable, CaseIterable, Codable {
  case safetensors
  /// torch.save since PyTorch 1.6: a zip archive.
  case pytorch
  /// torch.save before: pickles, then storages.
  case pytorchLegacy = "pytorch-legacy"
  case npy, npz
}

/// Named tensors in a file, of whatever format: names, types and shapes are known once it is open,
/// data are read when asked for. `TensorFile.open` makes one of any file.
public protocol TensorSource: AnyObject, Sendable {
  var path: String { get }
  var format: TensorFormat { get }
  /// In the order of the file. What lies deeper in a checkpoint has its path, joined by slashes:
  /// `optimizer/state/0/exp_avg`.
  var names: [String] { get }
  /// Strings beside the tensors. `scalars`, where a checkpoint holds more than tensors, is all of
  /// it as JSON, with `"<tensor>"` in the place of each tensor.
  var metadata: [String: String] { get }
  /// Size of the file in bytes.
  var byteCount: Int { get }

  func contains(_ name: String) -> Bool
  /// These throw `.badData`, with the nearest name as advice, if there is no tensor `name`.
  func dtype(_ name: String) throws -> SafetensorsType
  func shape(_ name: String) throws -> Shape
  /// Calls `body` with the elements as stored: little-endian, row-major, not necessarily aligned.
  /// Throws `.badData` where the data turn out to be damaged.
  func withBytes<Result>(
    _ name: String, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result
}

extension TensorSource {
  /// A float32 copy. F16, BF16, F8 and small integers widen exactly; F64 and integers of 32 and 64
  /// bits round to nearest. Throws `.badData` for complex elements.
  public func tensor(_ name: String) throws -> Tensor {
    let type = try realType(name)
    let result = Tensor(uninitialized: try shape(name))
    try withBytes(name) { raw in
      if type == .f32 {
        if let source = raw.baseAddress { memcpy(result.base, source, raw.count) }
      } else {
        widen(raw, type, into: result.base)
      }
    }
    return result
  }

  /// The elements as doubles: exact for every real type but integers beyond 2^53.
  public func doubles(_ name: String) throws -> [Double] {
    let type = try realType(name)
    return try withBytes(name) { raw in
      let elements = raw.count / type.width
      return [Double](unsafeUninitializedCapacity: elements) { buffer, count in
        if let base = buffer.baseAddress { widen(raw, type, into: base) }
        count = elements
      }
    }
  }

  /// The elements of an integer tensor; BOOL gives 0 and 1. Throws `.badData` for other types.
  public func ints(_ name: String) throws -> [Int] {
    let type = try dtype(name)
    guard let values = try withBytes(name, { integers($0, type) }) else {
      throw UserError(
        .badData, path, at: "tensor \(shown(name))", found: "type \(type.rawValue)",
        expected: type.isInteger ? "integers up to 2^63" : "integers")
    }
    return values
  }

  private func realType(_ name: String) throws -> SafetensorsType {
    let type = try dtype(name)
    guard type != .c64 else {
      throw UserError(
        .badData, path, at: "tensor \(shown(name))", found: "complex elements",
        expected: "real ones")
    }
    return type
  }

  /// The error for a tensor that is not there.
  func noTensor(_ name: String) -> UserError {
    UserError(
      .badData, path, at: "tensor \(shown(name))", found: "not in this file",
      expected: "one of its \(names.count) tensors",
      advice: nearestName(to: name, among: names).map { "the nearest name is \($0)" })
  }
}
