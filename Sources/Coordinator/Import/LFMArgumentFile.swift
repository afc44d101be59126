import Diagnostics
import Foundation

/// A file of shell variables as LFM's test scripts read it: `MODEL_TYPE=DiT-L/2` and so on. It is
/// read, never run.
struct LFMArgumentFile {
  /// The options that the scripts make of the variables, and of those that are not set.
  private(set) var options: [String: [String]] = [:]
  /// Options that the file itself sets, by the name of the variable.
  private(set) var variables: [String: String] = [:]
  /// Variables that no script reads.
  private(set) var unknown: [(name: String, value: String)] = []

  /// Variables and the options that they become.
  static let names = [
    "MODEL_TYPE": "model_type", "EPOCH_ID": "epoch_id", "DATASET": "dataset", "EXP": "exp",
    "METHOD": "method", "STEPS": "num_steps", "USE_ORIGIN_ADM": "use_origin_adm",
    "IMG_SIZE": "image_size", "CH_MULT": "ch_mult", "ATTN_RES": "attn_resolutions",
    "Bs": "batch_size", "BASE_CH": "nf", "CFG": "cfg_scale", "OUTPUT_LOG": "output_log",
  ]

  /// Whether `text` is such a file: assignments and comments, among them the model's type.
  static func isOne(_ text: String) -> Bool {
    guard text.utf8.count < 1 << 16 else { return false }
    return text.split(whereSeparator: \.isNewline).contains {
      $0.drop(while: \.isWhitespace).hasPrefix("MODEL_TYPE=")
        || $0.drop(while: \.isWhitespace).hasPrefix("export MODEL_TYPE=")
    }
  }

  /// The file's text, if there is such a file at `path`.
  static func text(at path: String) -> String? {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue,
      let handle = FileHandle(forReadingAtPath: path)
    else { return nil }
    defer { try? handle.close() }
    guard let data = try? handle.read(upToCount: 1 << 16),
      let text = String(validating: data, as: UTF8.self), isOne(text)
    else { return nil }
    return text
  }

  init(text: String, name: String) throws {
    for (index, line) in text.split(
      omittingEmptySubsequences: false, whereSeparator: \.isNewline
    ).enumerated() {
      let subject = "\(name):\(index + 1)"
      var words = try ShellWords.split(String(line), subject: subject)
      if words.first == "export" { words.removeFirst() }
      for word in words { try take(word, subject) }
    }
    completeAsScripts()
  }

  private mutating func take(_ word: String, _ subject: String) throws {
    let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      .map(String.init)
    guard parts.count == 2, !parts[0].isEmpty else {
      throw UserError(
        .config, subject, found: oneLine(word), expected: "NAME=VALUE, as in MODEL_TYPE=DiT-L/2")
    }
    variables[parts[0]] = parts[1]
    guard let option = Self.names[parts[0]] else {
      unknown.append((parts[0], parts[1]))
      return
    }
    if option == "use_origin_adm" {
      options[option] = [parts[1].lowercased() == "true" ? "true" : "false"]
    } else {
      let values = parts[1].split(whereSeparator: \.isWhitespace).map(String.init)
      options[option] = values.isEmpty ? [""] : values
    }
  }

  /// What the scripts add: one for models without labels, one for ImageNet.
  private mutating func completeAsScripts() {
    var added = [
      "f": "8", "num_in_channels": "4", "num_out_channels": "4", "nf": "256",
      "num_res_blocks": "2", "ch_mult": "1 2 3 4", "attn_resolutions": "16 8 4",
      "image_size": "256",
    ]
    if options["dataset"]?.first?.contains("imagenet") ?? false {
      (added["num_classes"], added["label_dim"], added["label_dropout"]) = ("1000", "1000", "0.1")
    } else if options["use_origin_adm"] != ["true"] {
      (added["num_classes"], added["label_dropout"]) = ("1", "0.0")
    }
    for (name, value) in added where options[name] == nil {
      options[name] = value.split(separator: " ").map(String.init)
    }
  }
}
