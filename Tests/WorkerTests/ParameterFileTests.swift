import Diagnostics
import FlowData
import FlowModels
import FlowNN
import FlowTensor
import Foundation
import Testing
import Worker

/// A network of three linear maps, and files that do or do not hold it.
@Suite("reading parameters", .serialized)
struct ParameterFileTests {
  private static let names = ["head.bias", "head.weight", "body.0.weight", "body.1.weight"]

  private func store() -> ParameterStore {
    let store = ParameterStore()
    _ = store.scope("head").parameter("weight", [2, 3], .zeros)
    _ = store.scope("head").parameter("bias", [2], .zeros)
    for i in 0..<2 { _ = store.scope("body")("\(i)").parameter("weight", [3, 3], .zeros) }
    store.allocate(training: false)
    return store
  }

  private static let shapes: [String: [Int]] = [
    "head.weight": [2, 3], "head.bias": [2], "body.0.weight": [3, 3], "body.1.weight": [3, 3],
  ]

  /// Writes tensors whose elements are their index plus a number of their own.
  private func file(_ shapes: [(String, [Int], Float)]) throws -> (SafetensorsFile, () -> Void) {
    let path = NSTemporaryDirectory() + "parameters-\(UUID().uuidString).safetensors"
    var values: [[Float]] = []
    for (_, shape, first) in shapes {
      values.append((0..<shape.reduce(1, *)).map { first + Float($0) })
    }
    let tensors = zip(shapes, values).map { shape, values in
      let base = UnsafeMutablePointer<Float>.allocate(capacity: max(1, values.count))
      base.update(from: values, count: values.count)
      return SafetensorsTensor(shape.0, shape.1, base)
    }
    _ = try SafetensorsWriter.write(tensors, to: path)
    return (try SafetensorsFile(path), { try? FileManager.default.removeItem(atPath: path) })
  }

  @Test(
    "under any prefix",
    arguments: [
      "", "module.", "model.", "ema_model.", "_orig_mod.", "module._orig_mod.",
      "model.net.", "ema_model.ema_model.net.", "state_dict/model.net.", "model_dict/module.",
    ])
  func prefixes(_ prefix: String) throws {
    let (file, remove) = try file(
      Self.names.enumerated().map { (prefix + $1, Self.shapes[$1]!, Float(10 * $0)) })
    defer { remove() }
    let store = store()
    let loading = try loadParameters(into: store, from: file)
    #expect(loading.loaded == 4 && loading.problems.isEmpty && loading.prefix == prefix)
    for (i, name) in Self.names.enumerated() {
      #expect(store[name]!.tensor.base[1] == Float(10 * i) + 1)
    }
  }

  @Test("of a file with both, the average or the trained parameters", arguments: [false, true])
  func average(_ averaged: Bool) throws {
    let both = ["model.net.", "ema_model.ema_model.net."].enumerated().flatMap { i, prefix in
      Self.names.map { (prefix + $0, Self.shapes[$0]!, Float(100 * i)) }
    }
    // A counter beside the average, and another model.
    let (file, remove) = try file(
      both + [("ema_model.step", [1], 0), ("first_stage.decoder.weight", [4], 0)])
    defer { remove() }
    let store = store()
    try loadParameters(into: store, from: file, averaged: averaged)
    #expect(store["head.bias"]!.tensor.base[0] == (averaged ? 100 : 0))
  }

  private func broken() throws -> (SafetensorsFile, () -> Void) {
    try file([
      ("module.head.weight", [2, 4], 0), ("module.head.bias", [2], 5),
      ("module.bodi.0.weight", [3, 3], 0), ("module.body.1.weight", [9, 1], 0),
    ])
  }

  @Test("a file that does not fit is refused with a table")
  func table() throws {
    let (file, remove) = try broken()
    defer { remove() }
    let error = #expect(throws: UserError.self) {
      try loadParameters(into: store(), from: file)
    }
    #expect(error?.status == .badData)
    #expect(
      error?.found
        == "4 tensors do not fit the network: 1 missing, 1 unexpected, 2 of another shape")
    #expect(
      error?.advice == """
        key            expected  found       nearest
          head.weight    [2, 3]    [2, 4]
          body.0.weight            missing     bodi.0.weight
          body.1.weight  [3, 3]    [9, 1]
          bodi.0.weight  nothing   unexpected
        """)
  }

  @Test("without strictness what fits is read, and the rest keeps its values")
  func notStrict() throws {
    let (file, remove) = try broken()
    defer { remove() }
    let store = store()
    for parameter in store.parameters {
      parameter.tensor.base.update(repeating: -1, count: parameter.shape.count)
    }
    let loading = try loadParameters(into: store, from: file, strict: false)
    #expect(loading.loaded == 1 && loading.problems.count == 4)
    #expect(store["head.bias"]!.tensor.values == [5, 6])
    #expect(store["head.weight"]!.tensor.values == Array(repeating: -1, count: 6))
  }

  @Test("a long table ends in a count")
  func longTable() throws {
    let (file, remove) = try file((0..<30).map { ("x\($0)", [1], 0) })
    defer { remove() }
    let loading = try loadParameters(into: store(), from: file, strict: false)
    #expect(loading.problems.count == 34)
    #expect(loading.table().hasSuffix("\n  … and 14 more"))
  }
}
