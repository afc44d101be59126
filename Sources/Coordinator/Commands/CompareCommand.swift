import ArgumentParser
import Diagnostics
import Foundation

/// `latentflow compare`
struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Compares the figures of two evaluations, if they were made alike.",
    discussion: """
      A and B are reports of `latentflow evaluate`. Figures that were made differently are not
      compared: the difference is named. --vary names what is meant to differ.

      Examples:
        latentflow compare runs/a/evaluation.json runs/b/evaluation.json
        latentflow compare heun.json dopri5.json --vary solver
      """)

  @Argument(help: "The first report.")
  var a: String
  @Argument(help: "The second report.")
  var b: String
  @Option(
    help: ArgumentHelp(
      "What may differ, between commas: count, seed, solver, guidance, labels, weights, codec, "
        + "pixels, resize, features, features-hash, patches, reference, reference-count, settings."
    ))
  var vary: String?
  @OptionGroup var output: OutputOptions

  func run() throws {
    let comparison = Comparison(
      first: try EvaluationReport.read(a), second: try EvaluationReport.read(b))
    let names = comparison.names
    let varied = try Set(
      (vary ?? "").split(separator: ",").map { word in
        guard names.contains(String(word)) else {
          let near = nearestName(to: String(word), among: names)
          throw UserError(
            .usage, "--vary", found: "«\(word)»", expected: names.joined(separator: ", "),
            advice: near.map { "did you mean \($0)?" })
        }
        return String(word)
      })
    let differences = comparison.differences(except: varied)
    guard differences.isEmpty else {
      throw UserError(
        .badData, "\(a) and \(b)", found: "figures that were made differently",
        expected: "the same way of making them",
        advice: differences.joined(separator: "\n  ")
          + "\n  --vary NAME,… says that a difference is meant")
    }
    if output.json {
      try StandardOutput.write(json(comparison))
    } else {
      try StandardOutput.write(text(comparison))
    }
  }

  private func text(_ comparison: Comparison) -> String {
    var table = TextTable(rightAligned: [1, 2, 3])
    table.append("figure", "A", "B", "B − A", "")
    for row in comparison.rows {
      table.append(
        row.name, String(format: "%.5g", row.first), String(format: "%.5g", row.second),
        String(format: "%+.4g", row.difference), row.note)
    }
    return table.text()
  }

  private func json(_ comparison: Comparison) -> String {
    let rows = comparison.rows.map {
      "\"\($0.name)\": {\"a\": \($0.first), \"b\": \($0.second), \"difference\": \($0.difference)}"
    }
    return "{" + rows.joined(separator: ", ") + "}\n"
  }
}
