import Diagnostics
import Foundation
import RunFormat
import Testing

/// A folder of its own for one test, removed with it.
final class ScratchFolder {
  let path = NSTemporaryDirectory() + "latentflow-\(UUID().uuidString)"

  init() throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func write(_ text: String, to name: String) throws -> String {
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
    return "\(path)/\(name)"
  }

  func text(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)")), as: UTF8.self)
  }
}

@Suite struct RunFolderTests {
  @Test("a run folder is made, filled and read")
  func contents() throws {
    let scratch = try ScratchFolder()
    let folder = RunFolder(path: "\(scratch.path)/runs/x")
    #expect(!folder.holdsRun)
    let lock = try folder.open()
    try folder.writeConfig("seed: 1\n")
    try folder.writeConfig("seed: 2\n")
    try folder.writeOverrides(["a.b=c", "d=[1, 2]"])
    let environment = RunEnvironment(
      ranks: 2, threadsPerRank: 3, kernelTable: "rule-1", versions: ["mpi": "4.1"],
      configFingerprint: "00ff")
    try folder.writeEnvironment(environment)
    #expect(folder.holdsRun)
    #expect(try scratch.text("runs/x/config.yaml") == "seed: 2\n")
    #expect(try scratch.text("runs/x/overrides.txt") == "a.b=c\nd=[1, 2]\n")
    #expect(try folder.readEnvironment() == environment)
    #expect(environment.host == HostDescription.name && environment.cpu != "unknown")
    #expect(environment.cores >= 1 && environment.cores <= ProcessInfo.processInfo.processorCount)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    #expect(names == [
      ".lock", "checkpoints", "config.yaml", "environment.json", "overrides.txt", "samples",
    ])
    withExtendedLifetime(lock) {}
  }

  @Test("a folder that a process holds is refused with its holder, and free when it ends")
  func lock() throws {
    let scratch = try ScratchFolder()
    let folder = RunFolder(path: scratch.path)
    var lock: RunLock? = try folder.open()
    let error = #expect(throws: UserError.self) { _ = try folder.open() }
    #expect(error?.status == .io && error?.subject == scratch.path)
    #expect(
      error?.found == "process \(getpid()) on \(HostDescription.name) writes into this run folder")
    #expect(error?.advice?.contains("mpirun") == true)
    #expect(lock?.path == "\(scratch.path)/.lock")
    lock = nil
    lock = try folder.open()
    withExtendedLifetime(lock) {}
  }

  @Test("the lock of a process that was killed is free")
  func killed() throws {
    let scratch = try ScratchFolder()
    let holder = Process()
    holder.executableURL = URL(fileURLWithPath: "/usr/bin/flock")
    holder.arguments = ["\(scratch.path)/.lock", "sh", "-c", "echo host 1 >&3; exec sleep 100"]
    let ready = Pipe()
    holder.executableURL = URL(fileURLWithPath: "/bin/sh")
    holder.arguments = [
      "-c", "exec 9>\"$0/.lock\"; flock 9; echo elsewhere 123 >&9; echo ready; exec sleep 100",
      scratch.path,
    ]
    holder.standardOutput = ready
    try holder.run()
    _ = ready.fileHandleForReading.availableData
    let folder = RunFolder(path: scratch.path)
    let error = #expect(throws: UserError.self) { _ = try folder.open() }
    #expect(error?.found == "process 123 on elsewhere writes into this run folder")
    kill(holder.processIdentifier, SIGKILL)
    holder.waitUntilExit()
    withExtendedLifetime(try folder.open()) {}
    #expect(try scratch.text(".lock") == "\(HostDescription.name) \(getpid())\n")
  }

  @Test("a folder that cannot be made or written")
  func unwritable() throws {
    let scratch = try ScratchFolder()
    let file = try scratch.write("x", to: "f")
    for path in ["\(file)/run", "/proc/run"] {
      let error = #expect(throws: UserError.self) { _ = try RunFolder(path: path).open() }
      #expect(error?.status == .io && error?.subject.hasPrefix(path) == true)
    }
  }
}

@Suite struct EventLogTests {
  @Test("a line for each event; what was written is read")
  func roundTrip() throws {
    let scratch = try ScratchFolder()
    let path = "\(scratch.path)/events.jsonl"
    let log = try EventLog(path)
    try log.append("started", time: 1.5)
    try log.append(
      "checkpoint",
      ["step": 20, "loss": 0.25, "bad": .number(.nan), "last": true, "none": .null,
        "path": "a\"\\\n\u{1}é/", "fields": ["x", 1]], time: 2)
    #expect(
      try scratch.text("events.jsonl") == """
        {"time": 1.5, "kind": "started"}
        {"time": 2.0, "kind": "checkpoint", "bad": null, "fields": ["x", 1], "last": true, \
        "loss": 0.25, "none": null, "path": "a\\"\\\\\\n\\u0001é/", "step": 20}

        """)
    let events = try EventLog.read(path)
    #expect(events.map(\.kind) == ["started", "checkpoint"] && events.map(\.time) == [1.5, 2])
    #expect(events[1].fields == [
      "step": 20, "loss": 0.25, "bad": .null, "last": true, "none": .null,
      "path": "a\"\\\n\u{1}é/", "fields": ["x", 1],
    ])
  }

  @Test("a torn last line is cut off on reopening, whole lines stay", arguments: [
    ("{\"time\": 1, \"kind\": \"a\"}\n{\"time\": 2, \"ki", 1), ("{\"tim", 0), ("", 0),
    ("{\"time\": 1, \"kind\": \"a\"}\n", 1),
  ])
  func torn(_ text: String, _ whole: Int) throws {
    let scratch = try ScratchFolder()
    let path = try scratch.write(text, to: "events.jsonl")
    #expect(try EventLog.read(path).count == whole)
    try EventLog(path).append("b", time: 3)
    let events = try EventLog.read(path)
    #expect(events.count == whole + 1 && events.last?.kind == "b")
  }

  @Test("a line that is no event is bad data")
  func bad() throws {
    let scratch = try ScratchFolder()
    let path = try scratch.write("{\"time\": 1, \"kind\": \"a\"}\n{\"time\": 2}\n", to: "e")
    let error = #expect(throws: UserError.self) { try EventLog.read(path) }
    #expect(error?.status == .badData && error?.place == "line 2")
    let full = #expect(throws: UserError.self) { try EventLog("/dev/full").append("a") }
    #expect(full?.status == .io)
  }
}

@Suite struct MetricsCSVTests {
  let columns = ["step", "loss", "gradient_norm"]

  @Test("rows by step; resuming removes the later ones and a torn last one")
  func resume() throws {
    let scratch = try ScratchFolder()
    let path = "\(scratch.path)/metrics.csv"
    let csv = try MetricsCSV(path, columns: columns)
    try csv.append(step: 10, [0.5, nil])
    try csv.append(step: 20, [0.1, 1e-7])
    try csv.append(step: 30, [.nan, 3])
    let head = "step,loss,gradient_norm\n10,0.5,\n20,0.1,1e-07\n"
    #expect(try scratch.text("metrics.csv") == head + "30,nan,3.0\n")
    _ = try scratch.write(head + "30,nan,3.0\n40,0.", to: "metrics.csv")
    let resumed = try MetricsCSV(path, columns: columns, resumedStep: 20)
    #expect(try scratch.text("metrics.csv") == head)
    try resumed.append(step: 30, [1, 2])
    #expect(try scratch.text("metrics.csv") == head + "30,1.0,2.0\n")
    _ = try MetricsCSV(path, columns: columns, resumedStep: 0)
    #expect(try scratch.text("metrics.csv") == "step,loss,gradient_norm\n")
  }

  @Test("other columns, or rows that are none, are bad data", arguments: [
    ("step,loss\n1,2\n", "line 1"), ("step,loss,gradient_norm\n1,2,3\nx,2,3\n", "line 3"),
  ])
  func bad(_ text: String, _ place: String) throws {
    let scratch = try ScratchFolder()
    let path = try scratch.write(text, to: "m.csv")
    let error = #expect(throws: UserError.self) { try MetricsCSV(path, columns: columns) }
    #expect(error?.status == .badData && error?.place == place)
    #expect(try scratch.text("m.csv") == text)
  }

  @Test("a header alone, torn, is written anew", arguments: ["", "step,lo"])
  func tornHeader(_ text: String) throws {
    let scratch = try ScratchFolder()
    let path = try scratch.write(text, to: "m.csv")
    try MetricsCSV(path, columns: columns).append(step: 1, [1, 2])
    #expect(try scratch.text("m.csv") == "step,loss,gradient_norm\n1,1.0,2.0\n")
  }
}
