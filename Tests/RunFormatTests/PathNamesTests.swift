import Diagnostics
import Testing

@Suite("Names of paths")
struct PathNamesTests {
  @Test(
    "parent and last name",
    arguments: [
      ("g", ".", "g"), ("a/b", "a", "b"), ("a/b/", "a", "b"), ("/a", "/", "a"), ("/", "/", "/"),
      ("a//b", "a", "b"), ("./g", ".", "g"), ("/a/bc/d.png", "/a/bc", "d.png"),
    ])
  func names(path: String, parent: String, name: String) {
    #expect(parentFolder(of: path) == parent)
    #expect(lastName(of: path) == name)
  }
}
