import Coordinator
import Diagnostics
import Foundation
import Testing

@Suite struct PreflightTests {
  private func status(_ body: () throws -> Void) -> Diagnostics.ExitStatus? {
    do {
      try body()
      return nil
    } catch { return (error as? UserError)?.status }
  }

  @Test("what a command asks of files and folders")
  func files() throws {
    let folder = try ScratchFolder()
    let file = try folder.write("x", to: "f")
    let none = "\(folder.path)/none"
    #expect(status { try Preflight.requireFile(file) } == nil)
    #expect(status { try Preflight.requireFile(none) } == .missingInput)
    #expect(status { try Preflight.requireFile(folder.path) } == .missingInput)
    #expect(status { try Preflight.requireFolder(folder.path) } == nil)
    #expect(status { try Preflight.requireFolder(none) } == .missingInput)
    #expect(status { try Preflight.requireFolder(file) } == .missingInput)
    #expect(status { try Preflight.requireEmptyOrNew(folder.path) } == .usage)
    #expect(status { try Preflight.requireEmptyOrNew(file) } == .usage)
    #expect(status { try Preflight.requireEmptyOrNew("\(none)/a/b") } == nil)
    #expect(status { try Preflight.requireEmptyOrNew("\(none)/a/b") } == nil)
    #expect(status { try Preflight.requireWritableFolder("\(file)/under") } == .io)
    #expect(status { try Preflight.requireWritableFolder("/proc/self") } == .io)
  }

  @Test("a message names the folder and what it holds")
  func message() throws {
    let folder = try ScratchFolder()
    _ = try folder.write("x", to: "f")
    let error = #expect(throws: UserError.self) {
      try Preflight.requireEmptyOrNew(folder.path, option: "--out")
    }
    #expect(
      error?.description == "\(folder.path): --out names a folder that holds 1 files; "
        + "expected a new or an empty folder.\n"
        + "  files of two runs would mix: name another folder, or empty this one")
  }

  @Test("free space, also of a folder that is yet to be made")
  func space() throws {
    let folder = try ScratchFolder()
    let free = try Preflight.freeSpace(at: folder.path)
    #expect(free > 0)
    #expect(abs(try Preflight.freeSpace(at: "\(folder.path)/a/b/c") - free) < 1 << 32)
    try Preflight.requireFreeSpace(1, at: folder.path, for: "a byte")
    let error = #expect(throws: UserError.self) {
      try Preflight.requireFreeSpace(1 << 60, at: folder.path, for: "3 checkpoints")
    }
    #expect(error?.status == .io && error?.expected?.hasSuffix("MB for 3 checkpoints") == true)
  }

  @Test("a slow processor is told of")
  func processor() {
    #expect(Preflight.processorWarning(flags: ["sse2", "avx"])?.contains("AVX2") == true)
    #expect(Preflight.processorWarning(flags: ["sse2", "avx2", "fma"]) == nil)
    #expect(Preflight.processorWarning(flags: nil) == nil)
    let warning = Preflight.oversubscriptionWarning(ranksOnNode: 4, threads: 2, cores: 4)
    #expect(warning?.contains("--threads 1") == true)
    #expect(Preflight.oversubscriptionWarning(ranksOnNode: 4, threads: 1, cores: 4) == nil)
  }
}
