import FlowData
import Foundation
import Testing

extension EndToEnd {
  /// `latentflow reconstruct`: all ranks at one image.
  @Suite(.serialized) struct Reconstruction {
    @Test("a limit leaves every bit; ranks that share an image differ by a level at most")
    func ranks() throws {
      let scratch = try Scratch()
      let pictures = "\(scratch.path)/pictures"
      try latentflow(["dataset", "shapes", "--out", pictures, "--count", "2", "--size", "136"])
        .requireSuccess()
      var found: [[String: Data]] = []
      for (ranks, more) in [(1, []), (2, []), (3, ["--memory", "1G"]), (1, ["--memory", "1G"])] {
        let out = "\(scratch.path)/\(found.count)"
        let run = try latentflow(
          [
            "reconstruct", "\(pictures)/images", "--autoencoder", Workshop.autoencoder, "--out",
            out, "--threads", "1",
          ] + more, ranks: ranks
        ).requireSuccess()
        #expect(run.output.contains("PSNR"), "\(run)")
        found.append(try contents(of: out).filter { $0.key.hasSuffix(".png") })
      }
      #expect(found[0].count == 2 && Set(found[0].values).count == 2)
      #expect(found[3] == found[0])
      for other in found[1...2] {
        for (name, png) in other {
          let (a, b) = (try pixels(png), try pixels(try #require(found[0][name])))
          let differences = zip(a, b).map { abs(Int($0) - Int($1)) }
          #expect(differences.max()! <= 1 && differences.reduce(0, +) < 20, "\(name)")
        }
      }
    }

    private func pixels(_ png: Data) throws -> [UInt8] {
      try ImageBuffer(encoded: Array(png), name: "result").pixels
    }

    @Test("a limit that cannot be met, and sides that do not divide, end before anything is made")
    func refused() throws {
      let scratch = try Scratch()
      for (size, more, status, words) in [
        ("64", ["--memory", "1M"], Int32(64), "--memory 1M"), ("60", [], 65, "60×60"),
      ] {
        let pictures = "\(scratch.path)/\(size)"
        try latentflow(["dataset", "shapes", "--out", pictures, "--count", "1", "--size", size])
          .requireSuccess()
        let out = "\(scratch.path)/out-\(size)"
        let run = try latentflow(
          [
            "reconstruct", "\(pictures)/images", "--autoencoder", Workshop.autoencoder, "--out",
            out, "--threads", "1",
          ] + more, ranks: 2)
        #expect(run.status == status && run.errorLines.count == 1, "\(run)")
        #expect(run.errorLines.first?.contains(words) == true, "\(run)")
        let made = (try? contents(of: out)) ?? [:]
        #expect(made.isEmpty)
      }
    }
  }
}
