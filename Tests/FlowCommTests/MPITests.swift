import Foundation
import Testing
import TestSupport

/// Real ranks under mpirun, also more of them than cores.
@Suite(.serialized) struct MPITests {
  /// hash, ordered sum, overlaps, note
  static func fields(_ output: String) -> [String] {
    output.trimmingCharacters(in: .newlines).split(separator: "|", omittingEmptySubsequences: false)
      .map(String.init)
  }

  @Test(
    "every method and number of ranks gives the bits of the definition",
    arguments: [(4, ["window", "pairwise", "overlap", "crowded"]), (8, ["window", "overlap"])])
  func reductions(_ k: Int, _ methods: [String]) throws {
    let program = productPath("comm-selftest")
    func alone(_ args: [String]) throws -> [String] {
      Self.fields(try runProcess(program, args, timeout: 60).stdout)
    }
    let reference = try alone(["reference", "\(k)"])
    let sequential = try alone(["sequential", "\(k)"])
    #expect(reference[0] != sequential[0], "the order of additions must show in the bits")
    let single = try alone(["reduce", "tree", "\(k)"])
    #expect(single.prefix(2) == reference.prefix(2))
    for ranks in [2, 4] {
      for method in methods {
        let run = try mpirun(ranks, "comm-selftest", ["reduce", method, "\(k)"])
        let result = Self.fields(run.stdout)
        #expect(run.status == 0, "\(method) on \(ranks): \(run.stderr)")
        #expect(result.prefix(2) == reference.prefix(2), "\(method) on \(ranks) ranks")
        #expect(result[2] == (method == "overlap" ? "true" : "false"))
        #expect(result[3].contains("/dev/shm") == (method == "crowded"))
      }
      let library = Self.fields(
        try mpirun(ranks, "comm-selftest", ["reduce", "mpi", "\(k)"]).stdout)
      let sums = try [library[1], reference[1]].map { try #require(Double($0)) }
      #expect(abs(sums[0] - sums[1]) <= 1e-6 * abs(sums[1]))
    }
  }

  @Test func messages() throws {
    let run = try mpirun(3, "comm-selftest", ["messages"])
    #expect(run.status == 0)
    #expect(
      run.stdout == """
        token [0, 1, 2] \([0.1 + 0.1 * 2 + 0.1 * 3, 3.0]) [2, -5]
        2 [7, 7] true [0, 1, 2]

        """)
  }

  @Test("a process alone never starts MPI; tasks without PMI stop before they touch a run folder")
  func alone() throws {
    // OMPI_MCA_pml names nothing: MPI_Init would fail on it.
    let single = try runProcess(
      productPath("comm-selftest"), ["queue", "none"], environment: ["OMPI_MCA_pml": "none-such"],
      timeout: 60)
    #expect(single.status == 0)
    let tasks = try runProcess(
      productPath("comm-selftest"), ["queue", "none"],
      environment: ["SLURM_NTASKS": "2", "SLURM_PROCID": "0"], timeout: 60)
    #expect(tasks.status == 64)
    #expect(tasks.stderr.hasPrefix("error: launch: 2 tasks were started"))
  }

  @Test("the work queue", arguments: [1, 2, 3, 4])
  func queue(_ ranks: Int) throws {
    let good = try mpirun(ranks, "comm-selftest", ["queue", "none"])
    #expect(good.stdout == "\((0..<40).reduce(0) { $0 + $1 * $1 }) true\n")
    #expect(good.status == 0)
    let bad = try mpirun(ranks, "comm-selftest", ["queue", "17"])
    #expect(bad.stdout == "stopped by item 17\n")
    #expect(bad.status == 65)
  }

  @Test("one rank's error: all leave with it, one message", arguments: [0, 2])
  func agree(_ failing: Int) throws {
    let run = try mpirun(3, "comm-selftest", ["agree", "\(failing)"])
    #expect(run.stdout == "data, row 3: nothing; expected a file.\n")
    #expect(run.status == 66)
  }

  @Test("a rank that fails alone takes the job with it, one message", arguments: [0, 1])
  func abort(_ failing: Int) throws {
    let run = try mpirun(3, "comm-selftest", ["abort", "\(failing)"])
    #expect(run.stderr == "error: rank \(failing): row 17: cannot go on.\n")
    #expect(run.status == 65)
  }
}
