import Coordinator
import Foundation

@main
enum Main {
  static func main() {
    exit(Launch.run(LatentFlow.self, Array(CommandLine.arguments.dropFirst())))
  }
}
