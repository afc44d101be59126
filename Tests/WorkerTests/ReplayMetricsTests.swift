import Testing
import Worker

/// Cases of metrics and of the network that they see with, and how many quantities each compares.
@Suite("replay of metrics", .serialized)
struct ReplayMetricsTests {
  @Test(
    "cases",
    arguments: [("F_inception_fid_recipe", 9), ("G_frechet", 10), ("G_image_metrics", 6)])
  func cases(_ name: String, _ count: Int) throws {
    try expect(replay(try fixture(name)), count: count)
  }
}
