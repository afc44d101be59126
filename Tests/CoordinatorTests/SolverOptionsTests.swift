import ArgumentParser
import Coordinator
import Testing

@Suite struct SolverOptionsTests {
  private func refusal(_ line: String) -> String? {
    let command =
      ["sample", "run", "--count", "1", "--out", "o"] + line.split(separator: " ").map(String.init)
    do {
      _ = try LatentFlow.parseAsRoot(command)
      return nil
    } catch {
      let report = Launch.Report(error, LatentFlow.self)
      #expect(report.status == 64)
      return report.text
    }
  }

  @Test(
    "what the methods take",
    arguments: [
      "--solver tsit5 --rtol 1e-3 --atol 1e-4 --error-control batch", "--solver ab4 --steps 12",
      "--solver rk4_classic --step-size 0.1 --perturb", "--solver dpmpp_2m --times 1,0.5,0.1,0",
      "--solver karras_heun --steps 60 --churn 10 --churn-range 0.1,0.9 --churn-noise 1.01",
      "--solver karras_heun --assumed-steps 40", "--solver karras_euler --steps 8",
      "--solver heun --sde SBDM --steps 50 --last-step Tweedie --last-step-size 0.02",
      "--solver euler --sde increasing-decreasing --sde-norm 0.5 --last-step none",
      "--cfg 2 --guidance-interval 0.2,0.8",
    ])
  func accepted(_ line: String) {
    #expect(refusal(line) == nil)
  }

  @Test(
    "what they do not take",
    arguments: [
      ("--solver dopri", "did you mean dopri5?"), ("--solver tsit", "did you mean tsit5?"),
      ("--solver dpmpp2m", "did you mean dpmpp_2m?"), ("--solver xyzzyxyzzy", "expected euler"),
      ("--solver euler --sde sigmas", "did you mean sigma?"),
      ("--solver euler --sde sigma --last-step mean", "did you mean Mean?"),
      ("--solver dopri5 --steps 4", "chooses its own steps"),
      ("--solver ab2 --rtol 1e-3", "has fixed steps"),
      ("--solver euler --steps 4 --step-size 0.1", "one of --steps, --step-size and --times"),
      ("--solver midpoint --sde sigma", "--sde: midpoint with --sde does not take it"),
      ("--solver euler --last-step Mean", "--last-step: euler does not take it"),
      ("--solver ab2 --perturb", "--perturb: ab2 does not take it"),
      ("--solver karras_euler --churn 3", "--churn: karras_euler does not take it"),
      ("--solver karras_heun --step-size 0.1", "--step-size: karras_heun does not take it"),
      ("--solver euler --sde sigma --steps 1", "--sde takes 2 or more"),
      ("--solver euler --times 1,x", "two or more numbers"),
      ("--solver karras_heun --churn 1 --churn-range 0.9,0.1", "the smaller first"),
      ("--guidance-interval 0.8", "expected two times"),
      ("--guidance-interval 0.8,0.2", "the smaller first"),
    ])
  func refused(_ line: String, _ message: String) {
    #expect(refusal(line)?.contains(message) == true, "\(refusal(line) ?? "accepted")")
  }
}
