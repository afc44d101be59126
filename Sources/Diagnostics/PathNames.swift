// Names of files and folders. Foundation's NSString properties crash on a name of one character.

/// The folder that `path` lies in; `.` for a name alone, `/` for the root.
public func parentFolder(of path: String) -> String {
  let bare = withoutTrailingSlashes(path)
  guard let slash = bare.lastIndex(of: "/") else { return bare.isEmpty ? "/" : "." }
  let parent = withoutTrailingSlashes(bare[..<slash])
  return parent.isEmpty ? "/" : String(parent)
}

/// What `path` is called in its folder.
public func lastName(of path: String) -> String {
  let bare = withoutTrailingSlashes(path)
  guard let slash = bare.lastIndex(of: "/") else { return bare.isEmpty ? "/" : String(bare) }
  return String(bare[bare.index(after: slash)...])
}

private func withoutTrailingSlashes(_ path: some StringProtocol) -> Substring {
  var rest = Substring(path)
  while rest.last == "/" { rest.removeLast() }
  return rest
}
