/// Progress of a run that counts pictures from its beginning: rate and time left follow from the
/// clock.
public final class PictureProgress {
  private let total: Int
  private let interval: Int
  private let line: ProgressLine
  private let clock: () -> Double
  private let begin: Double

  /// - Parameters:
  ///   - total: pictures in all.
  ///   - interval: pictures between two lines of a log file, which has the last one, too.
  ///   - clock: seconds that only grow.
  public init(
    of total: Int, interval: Int = 1, line: ProgressLine = ProgressLine(),
    clock: @escaping () -> Double = uptime
  ) {
    (self.total, self.interval, self.line, self.clock) = (total, interval, line, clock)
    begin = clock()
  }

  /// Since the beginning.
  public var seconds: Double { clock() - begin }

  /// - Parameter done: pictures so far.
  public func update(_ done: Int) {
    let seconds = seconds
    let rate = seconds > 0 ? Double(done) / seconds : nil
    line.update(
      RunProgress(
        step: done, total: total, imagesPerSecond: rate,
        secondsLeft: rate.map { Double(total - done) / $0 }),
      isLogged: done % interval == 0 || done == total)
  }

  /// Ends the line, so that what follows begins at the first column.
  public func finish() { line.finish() }
}
