import Diagnostics
import FlowComm
import Testing

@Suite struct LaunchTests {
  @Test(
    "how the process was started",
    arguments: [
      ([:], Launch.single),
      (["OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0"], .mpi(ranks: 4)),
      (["OMPI_COMM_WORLD_SIZE": "1"], .mpi(ranks: 1)),
      (["PMIX_RANK": "0", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"], .mpi(ranks: 8)),
      (["PMI_RANK": "1", "PMI_SIZE": "2"], .mpi(ranks: 2)),
      (["SLURM_NTASKS": "1", "SLURM_PROCID": "0"], .single),
      (["SLURM_NTASKS": "8"], .single),
      // In a batch script, which is one process of an allocation of eight tasks.
      (["ENVIRONMENT": "BATCH", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"], .single),
      (["SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"], .single),
    ])
  func detect(_ environment: [String: String], _ expected: Launch) throws {
    #expect(try Launch.detect(environment) == expected)
  }

  @Test(
    "tasks that srun started without PMI are told how to launch",
    arguments: [
      ["SLURM_NTASKS": "2", "SLURM_PROCID": "1"],
      [
        "ENVIRONMENT": "BATCH", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_PROCID": "0",
      ],
    ])
  func ranksAlone(_ environment: [String: String]) throws {
    let error = try #require(throws: UserError.self) { try Launch.detect(environment) }
    #expect(error.status == .usage)
    #expect(error.description.contains("scripts/run.sh 2 latentflow"))
  }
}
