import Foundation
import Testing

/// Which module may import which: the table of ARCHITECTURE.md.
private let edges: [String: Set<String>] = [
  "Diagnostics": [],
  "FlowTensor": ["CBLAS", "CDNNL", "CGomp", "CKernels"],
  "FlowNN": ["FlowTensor", "CKernels"],
  "FlowCore": ["FlowTensor"],
  "FlowModels": ["FlowCore", "FlowNN", "FlowTensor"],
  "FlowMetrics": ["FlowTensor", "CBLAS"],
  "FlowData": ["FlowTensor", "CImage", "CCrypto", "CZlib"],
  "FlowComm": ["CMPI"],
  "RunFormat": [],
  "Worker": [
    "FlowTensor", "FlowNN", "FlowCore", "FlowModels", "FlowMetrics", "FlowData", "FlowComm",
  ],
  "Coordinator": [
    "FlowTensor", "FlowNN", "FlowCore", "FlowModels", "FlowMetrics", "FlowData", "FlowComm",
    "Worker", "RunFormat", "CSignals", "Yams", "ArgumentParser",
  ],
  "latentflow": ["Coordinator"],
]

private let system: Set = ["Foundation", "Glibc", "Dispatch", "Synchronization"]

private struct SourceFile {
  let target: String
  let name: String
  let lines: [Substring]

  /// Modules that the file imports, with the line.
  var imports: [(module: String, line: Int)] {
    lines.enumerated().compactMap { index, line in
      guard let match = line.firstMatch(of: Self.importLine) else { return nil }
      return (String(match.output.1), index + 1)
    }
  }

  nonisolated(unsafe) private static let importLine = #/
    ^ \s* (?: @\w+ (?: \( [^)]* \) )? \s+ )*
    (?: (?: public | package | internal | fileprivate | private ) \s+ )?
    import \s+
    (?: (?: struct | class | enum | protocol | func | var | let | typealias | actor ) \s+ )?
    ( [A-Za-z_] \w* )
    /#
}

private let root = URL(fileURLWithPath: #filePath)
  .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// Every file below Sources with one of these extensions.
private func sources(_ extensions: Set<String>) throws -> [SourceFile] {
  let folder = root.appendingPathComponent("Sources")
  let paths = try FileManager.default.subpathsOfDirectory(atPath: folder.path).sorted()
  return try paths.compactMap { path in
    guard extensions.contains(URL(fileURLWithPath: path).pathExtension) else { return nil }
    let text = try String(contentsOf: folder.appendingPathComponent(path), encoding: .utf8)
    return SourceFile(
      target: String(path.prefix { $0 != "/" }), name: "Sources/\(path)",
      lines: text.split(separator: "\n", omittingEmptySubsequences: false))
  }
}

@Suite struct ArchitectureTests {
  @Test("no module imports what the table does not give it")
  func imports() throws {
    let files = try sources(["swift"])
    #expect(Set(files.map(\.target)) == Set(edges.keys), "the table lists every Swift module")
    for file in files {
      let allowed = (edges[file.target] ?? []).union(system)
        .union(file.target == "Diagnostics" ? [] : ["Diagnostics"])
      for (module, line) in file.imports {
        #expect(allowed.contains(module), "\(file.name):\(line): \(file.target) imports \(module)")
      }
    }
  }

  @Test("the table has no cycle")
  func order() {
    var placed: Set<String> = ["Diagnostics"]
    var rest = Set(edges.keys).subtracting(placed)
    while !rest.isEmpty {
      let next = rest.filter { edges[$0]!.intersection(edges.keys).isSubset(of: placed) }
      #expect(!next.isEmpty, "a cycle among \(rest.sorted())")
      guard !next.isEmpty else { return }
      placed.formUnion(next)
      rest.subtract(next)
    }
  }

  @Test("import lines are recognised in every form", arguments: [
    ("import Foundation", "Foundation"), ("  import CMPI", "CMPI"),
    ("@preconcurrency import Yams", "Yams"), ("public import FlowNN", "FlowNN"),
    ("import struct Foundation.Data", "Foundation"), ("@_spi(x) internal import Worker", "Worker"),
    ("// import Worker", nil), ("let x = \"import Worker\"", nil), ("important Worker", nil),
  ])
  func recognised(_ line: String, _ module: String?) {
    let file = SourceFile(target: "t", name: "t", lines: [line[...]])
    #expect(file.imports.first?.module == module)
  }

  @Test("files stay under 500 lines, lines within 100 columns")
  func lengths() throws {
    let files = try sources(["swift", "c", "h"])
    #expect(files.count > 20)
    for file in files {
      #expect(file.lines.count <= 500, "\(file.name): \(file.lines.count) lines")
      for (index, line) in file.lines.enumerated() where line.count > 100 {
        Issue.record("\(file.name):\(index + 1): \(line.count) columns")
      }
    }
  }
}
