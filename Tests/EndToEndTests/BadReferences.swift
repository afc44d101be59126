import FlowData
import Foundation

extension BadInput {
  /// Reaches a reference file by way of the workshop's own statistics, which `change` spoils.
  private static func evaluate(
    _ scratch: Scratch, _ change: (inout [Double], inout [Double]) -> Void
  ) throws -> [String] {
    let file = try TensorFile.open(try EndToEnd.Evaluation.statistics)
    var (mean, covariance) = (try file.doubles("mu"), try file.doubles("sigma"))
    change(&mean, &covariance)
    let path = "\(scratch.path)/stats.npz"
    try NumPyWriter.write(
      [
        .init("mu", [mean.count], doubles: mean),
        .init("sigma", [mean.count, covariance.count / mean.count], doubles: covariance),
      ], toArchive: path)
    return try evaluate(scratch, reference: path)
  }

  /// So many samples that a command which drew them before it looked at the reference would not end
  /// in time.
  private static func evaluate(
    _ scratch: Scratch, reference: String, _ more: String...
  ) throws -> [String] {
    [
      "evaluate", try Trained.run, "--count", "50000", "--reference", reference,
      "--out", "\(scratch.path)/report.json",
    ] + EndToEnd.Evaluation.judge + more
  }

  static let references = [
    BadInput(
      "a reference of another dimension", 65,
      ["{}/stats.npz, mean: statistics of 3 features", "compute them with the network"]
    ) {
      try evaluate($0) { ($0, $1) = ([1, 2, 3], [1, 0, 0, 0, 1, 0, 0, 0, 1]) }
    },
    BadInput(
      "a reference that is not a number", 65, ["{}/stats.npz, mean, element 7: nan", "finite"]
    ) {
      try evaluate($0) { mean, _ in mean[7] = .nan }
    },
    BadInput(
      "a reference with a negative variance", 65,
      ["{}/stats.npz, covariance: smallest eigenvalue -", "positive semi-definite"]
    ) {
      try evaluate($0) { mean, covariance in
        for i in mean.indices { covariance[i * mean.count + i] *= -1 }
      }
    },
    BadInput(
      "a reference whose covariance is no square", 65, ["{}/stats.npz, sigma: shape", "as mu has it"]
    ) {
      try evaluate($0) { mean, covariance in covariance.removeLast(mean.count) }
    },
    BadInput(
      "a reference without a covariance", 65,
      ["{}/stats.npz: no array sigma, but mu", "mu [", "and sigma ["]
    ) {
      let path = "\($0.path)/stats.npz"
      try NumPyWriter.write([.init("mu", [2], doubles: [1, 2])], toArchive: path)
      return try evaluate($0, reference: path)
    },
    BadInput("no reference", 66, ["{}/none.npz"]) {
      try evaluate($0, reference: "\($0.path)/none.npz")
    },
    BadInput("no pictures as a reference", 66, ["{}/none"]) {
      try evaluate($0, reference: "\($0.path)/none")
    },
    BadInput(
      "a figure that needs pictures, with moments", 64, ["--figures", "kid with stored moments"]
    ) {
      try evaluate($0, reference: EndToEnd.Evaluation.statistics, "--figures", "frechet,kid")
    },
    BadInput(
      "subsets larger than the sets", 64, ["--kid-subset", "97 of 50000 samples and 96", "at most 96"]
    ) {
      try evaluate(
        $0, reference: Workshop.shared.images, "--reference-size", "16", "--figures", "kid",
        "--kid-subset", "97")
    },
    BadInput("a neighbour beyond the last", 64, ["--neighbor", "neighbour 96", "more than 96"]) {
      try evaluate(
        $0, reference: Workshop.shared.images, "--reference-size", "16", "--figures",
        "precision-recall", "--neighbor", "96")
    },
    BadInput("a score without its network", 64, ["--figures", "inception-score", "--inception"]) {
      try evaluate(
        $0, reference: EndToEnd.Evaluation.statistics, "--figures", "inception-score")
    },
    BadInput("crops larger than the samples", 64, ["--patches", "17 pixels", "16×16", "at most 16"])
    {
      try evaluate($0, reference: EndToEnd.Evaluation.statistics, "--patches", "17")
    },
    BadInput("a sweep of a misspelt solver", 64, ["--solvers huen", "did you mean heun?"]) {
      [
        "sweep", try Trained.run, "--solvers", "euler,huen", "--count", "2",
        "--reference", try EndToEnd.Evaluation.statistics, "--out", "\($0.path)/sweep",
      ]
    },
  ]
}
