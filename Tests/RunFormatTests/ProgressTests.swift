import Foundation
import RunFormat
import Testing

/// Both ends of a pipe.
private final class TestPipe {
  private(set) var reading: Int32
  let writing: Int32

  init() {
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    (reading, writing) = (ends[0], ends[1])
    signal(SIGPIPE, SIG_IGN)
  }

  deinit {
    close(writing)
    closeReading()
  }

  func closeReading() {
    if reading >= 0 { close(reading) }
    reading = -1
  }

  /// What has been written so far, without waiting.
  func text() -> String {
    _ = fcntl(reading, F_SETFL, O_NONBLOCK)
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = read(reading, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }
}

@Suite struct ProgressTests {
  static let rows: [(RunProgress, Int, String)] = [
    (RunProgress(step: 7, total: 5000), .max, "step    7/5000"),
    (
      RunProgress(
        step: 120, total: 5000, loss: 0.83124, gradientNorm: 1.0437, imagesPerSecond: 412.4,
        secondsLeft: 371.6),
      .max, "step  120/5000  loss 0.8312  412 images/s  ETA 6:12  gradient 1.044"
    ),
    (
      RunProgress(
        step: 5000, total: 5000, loss: 1.5e-5, gradientNorm: .nan, imagesPerSecond: 3.14159,
        secondsLeft: 0),
      .max, "step 5000/5000  loss 1.500e-05  3.14 images/s  ETA 0:00  gradient nan"
    ),
    (
      RunProgress(step: 1, total: 2, loss: 0, secondsLeft: 3972), .max,
      "step 1/2  loss 0  ETA 1:06:12"
    ),
    (RunProgress(step: 1, total: 2, loss: 12_345.6, secondsLeft: .infinity), .max,
      "step 1/2  loss 12346  ETA –"),
    // Too narrow: entries go from the right, or what does not fit.
    (RunProgress(step: 1, total: 2, loss: 0.5, gradientNorm: 1, secondsLeft: 60), 31,
      "step 1/2  loss 0.5000  ETA 1:00"),
    (RunProgress(step: 1, total: 2, loss: 0.5, gradientNorm: 1, secondsLeft: 60), 30,
      "step 1/2  loss 0.5000"),
    (RunProgress(step: 1, total: 2, loss: 0.5), 5, "step "),
  ]

  @Test("the line", arguments: rows)
  func line(_ progress: RunProgress, _ width: Int, _ expected: String) {
    #expect(progress.line(width: width) == expected)
  }

  @Test("a terminal gets one live line, at most ten times a second")
  func live() {
    let pipe = TestPipe()
    var now = 0.0
    let line = ProgressLine(
      descriptor: pipe.writing, isTerminal: true, width: { 40 }, clock: { now })
    for step in 1...100 {
      now = Double(step) / 32
      line.update(RunProgress(step: step, total: 101, loss: 1), isLogged: step % 10 == 0)
    }
    line.say("checkpoint")
    line.update(RunProgress(step: 101, total: 101), isLogged: true)
    line.finish()
    line.finish()
    let text = pipe.text()
    #expect(text.hasPrefix("\rstep   1/101  loss 1.000\u{1B}[K\rstep   5/101"))
    #expect(text.hasSuffix("\r\u{1B}[Kcheckpoint\n\rstep 101/101\u{1B}[K\n"))
    #expect(text.filter { $0 == "\r" }.count == 25 + 2)
  }

  @Test("a log file gets plain lines of the logged steps")
  func plain() {
    let pipe = TestPipe()
    let line = ProgressLine(descriptor: pipe.writing)
    for step in 1...6 {
      line.update(RunProgress(step: step, total: 6), isLogged: step % 3 == 0)
    }
    line.say("done")
    line.finish()
    #expect(pipe.text() == "step 3/6\nstep 6/6\ndone\n")
  }

  @Test("pictures are counted against the clock")
  func pictures() {
    let pipe = TestPipe()
    var now = 100.0
    let progress = PictureProgress(
      of: 7, interval: 3, line: ProgressLine(descriptor: pipe.writing), clock: { now })
    for done in 1...7 {
      now += 2
      progress.update(done)
    }
    now += 1
    progress.finish()
    #expect(
      pipe.text() == """
        step 3/7  0.500 images/s  ETA 0:08
        step 6/7  0.500 images/s  ETA 0:02
        step 7/7  0.500 images/s  ETA 0:00

        """)
    #expect(progress.seconds == 15)
  }

  @Test("a closed pipe silences progress and nothing else")
  func closed() {
    let pipe = TestPipe()
    let line = ProgressLine(descriptor: pipe.writing)
    line.update(RunProgress(step: 1, total: 3), isLogged: true)
    #expect(line.isOpen)
    pipe.closeReading()
    line.update(RunProgress(step: 2, total: 3), isLogged: true)
    #expect(!line.isOpen)
    line.update(RunProgress(step: 3, total: 3), isLogged: true)
    line.say("done")
    line.finish()
  }
}
