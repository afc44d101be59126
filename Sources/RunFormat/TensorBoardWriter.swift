import Diagnostics
import Foundation

/// Writes one TensorBoard event file: scalars and pictures by step.
///
/// Field numbers are those of TensorFlow's event.proto and summary.proto.  A process that resumes
/// a run writes a new file; TensorBoard reads all files of a folder in the order of their times.
public final class TensorBoardWriter {
  public let path: String
  private let file: AppendingFile

  /// - Parameter time: seconds since 1970; it is part of the name.
  public init(
    folder: String, host: String = HostDescription.name,
    time: Double = Date().timeIntervalSince1970
  ) throws {
    // Two starts within one second must not share a file: the name also has the process.
    path = "\(folder)/events.out.tfevents.\(Int(time)).\(host).\(getpid())"
    file = try AppendingFile(path)
    var event = ProtobufWriter()
    event.double(1, time)
    event.string(3, "brain.Event:2")
    try file.append(TFRecord.frame(event.bytes))
  }

  /// The values of one step, in one record.
  public func scalars(
    _ values: [(tag: String, value: Double)], step: Int,
    time: Double = Date().timeIntervalSince1970
  ) throws {
    try append(step, time) { summary in
      for (tag, value) in values {
        summary.message(1) { entry in
          entry.string(1, tag)
          entry.float(2, Float(value))
        }
      }
    }
  }

  /// - Parameter png: the encoded picture of `width` × `height` RGB pixels.
  public func image(
    _ tag: String, png: [UInt8], width: Int, height: Int, step: Int,
    time: Double = Date().timeIntervalSince1970
  ) throws {
    try append(step, time) { summary in
      summary.message(1) { entry in
        entry.string(1, tag)
        entry.message(4) { image in
          image.integer(1, height)
          image.integer(2, width)
          image.integer(3, 3)  // colour space: RGB
          image.data(4, png)
        }
      }
    }
  }

  private func append(
    _ step: Int, _ time: Double, _ summary: (inout ProtobufWriter) -> Void
  ) throws {
    var event = ProtobufWriter()
    event.double(1, time)
    event.integer(2, step)
    event.message(5, summary)
    try file.append(TFRecord.frame(event.bytes))
  }
}
