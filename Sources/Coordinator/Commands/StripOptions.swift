import ArgumentParser
import Diagnostics
import FlowData
import Foundation
import Worker

/// `--interpolate`, `--trajectory`: pictures of how samples come about.
struct StripOptions: ParsableArguments {
  @Option(
    help: """
      Samples A,B: a row of pictures between them; may be given again for more rows. Noise goes \
      along an arc; between two labels the velocity goes over linearly.
      """)
  var interpolate: [String] = []
  @Option(help: "Pictures of a row of --interpolate.")
  var frames = 9
  @Option(help: "The PNG for --interpolate.")
  var strip: String?
  @Option(
    help: "A PNG: the states of the first --count samples over t, and the data predicted there.")
  var trajectory: String?
  @Option(help: "Columns of --trajectory.")
  var states = 9

  /// More rows are no picture any more.
  private static let mostTrajectories = 64

  var isAsked: Bool { strip != nil || trajectory != nil }

  func validate() throws {
    guard interpolate.isEmpty == (strip == nil) else {
      throw ValidationError("give both --interpolate A,B and --strip FILE.")
    }
    guard frames >= 2 else { throw ValidationError("--frames \(frames): expected at least 2.") }
    guard states >= 2 else { throw ValidationError("--states \(states): expected at least 2.") }
    _ = try pairs()
  }

  private func pairs() throws -> [(Int, Int)] {
    try interpolate.map { text in
      let words = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
      guard words.count == 2, let a = words[0], let b = words[1], a >= 0, b >= 0, a != b else {
        throw ValidationError(
          "--interpolate \(text): expected the numbers of two samples, as 0,5.")
      }
      return (a, b)
    }
  }

  /// On rank 0, before anything is computed.
  func checkPlaces() throws {
    for file in [strip, trajectory].compactMap(\.self) {
      try Preflight.requireWritableFolder(parentFolder(of: file))
    }
  }

  /// Collective: draws and writes what is asked for.
  ///
  /// - Parameter count: rows of a trajectory.
  func draw(_ job: Job, _ loaded: LoadedModel, _ plan: SamplingPlan, count: Int) throws {
    let sampler = Sampler(loaded.network, loaded.firstStage, plan)
    if let strip {
      let rows = try sampler.interpolations(try pairs(), frames: frames, job.communicator)
      try job.communicator.together {
        try rows.map { try interpolationStrip($0).compose().writePNG(to: strip) }
      }
      if job.isCoordinator { StandardError.say("interpolation: \(strip)") }
    }
    if let trajectory {
      try job.communicator.together { try checkRows(count) }
      let (start, end) = plan.path.direction.samplingInterval
      let times = (0..<states).map { k in
        k == states - 1 ? end : start + (end - start) * Double(k) / Double(states - 1)
      }
      let rows = try sampler.trajectories(
        Array(0..<count), times: times, job.communicator)
      try job.communicator.together {
        try rows.map { try trajectoryStrip($0, times).compose().writePNG(to: trajectory) }
      }
      if job.isCoordinator { StandardError.say("trajectory: \(trajectory)") }
    }
  }

  private func checkRows(_ count: Int) throws {
    guard count > Self.mostTrajectories else { return }
    throw UserError(
      .usage, "--count", found: "\(count) rows of a trajectory",
      expected: "at most \(Self.mostTrajectories)")
  }

  private func interpolationStrip(_ rows: [InterpolationRow]) -> PictureStrip {
    PictureStrip(
      columnTitles: (0..<frames).map {
        String(format: "%.3g", Double($0) / Double(frames - 1))
      },
      rows: rows.map { PictureStrip.Row("\($0.ends.0)-\($0.ends.1)", $0.frames) })
  }

  private func trajectoryStrip(_ rows: [TrajectoryRow], _ times: [Double]) -> PictureStrip {
    PictureStrip(
      columnTitles: times.map { String(format: "t=%.3g", $0) },
      rows: rows.flatMap {
        [PictureStrip.Row("\($0.index): state", $0.states), .init("expected", $0.predictions)]
      }, rowsPerGroup: 2)
  }
}
