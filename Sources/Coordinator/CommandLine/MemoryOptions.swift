import ArgumentParser
import Worker

extension MemoryLimit: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}

/// `--memory`
struct MemoryOptions: ParsableArguments {
  @Option(
    help: """
      What the process of each rank may take, as in 3G or 800MiB: less is kept and more is \
      computed again. (default: no limit)
      """)
  var memory: MemoryLimit?
}
