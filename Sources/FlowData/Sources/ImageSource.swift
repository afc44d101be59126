/// What a source holds for one picture.
public enum ImageContents: Sendable {
  /// A PNG, JPEG or WebP file.
  case encoded([UInt8])
  case pixels(ImageBuffer)

  /// - Parameter name: what errors call it.
  public func decoded(name: String, exif: ExifPolicy = .ignore) throws -> ImageBuffer {
    switch self {
    case .encoded(let bytes): try ImageBuffer(encoded: bytes, name: name, exif: exif)
    case .pixels(let image): image
    }
  }

  /// Width and height, from the header alone.
  public func size(name: String) throws -> ImageSize {
    switch self {
    case .encoded(let bytes): try imageSize(encoded: bytes, name: name)
    case .pixels(let image): image.size
    }
  }

  /// Number and SHA-256 of the bytes: of the file, or of the pixels after their width and height.
  func digest() -> (bytes: Int, sha256: String) {
    switch self {
    case .encoded(let bytes):
      return (bytes.count, bytes.withUnsafeBytes { sha256Hex(of: $0) })
    case .pixels(let image):
      let hasher = SHA256Hasher()
      hasher.update("\(image.width) \(image.height)\n")
      image.pixels.withUnsafeBytes { hasher.update($0) }
      return (image.pixels.count, hasher.finalizeHex())
    }
  }
}

/// Numbered pictures, with class labels or without, in an order that never changes.
public protocol ImageSource: Sendable {
  /// The file or folder, for messages.
  var path: String { get }
  var count: Int { get }
  /// Names by label; nil where pictures carry no labels.
  var classNames: [String]? { get }
  /// Throws the `UserError` that names what is wrong with the picture's file.
  func contents(_ i: Int) throws -> ImageContents
  func label(_ i: Int) -> Int?
  /// A name that is unique in the source: for files the path below its folder.
  func name(_ i: Int) -> String
  /// SHA-256 of everything that `image`, `label` and `name` depend on, 64 hexadecimal digits.
  func fingerprint() throws -> String
  /// What hashing or reading everything comes to, in bytes.
  var storedBytes: Int { get }
  /// The pixels as they are stored, or as the source prepares them.
  func image(_ i: Int) throws -> ImageBuffer
  /// Width and height; where the format allows, without decoding.
  func size(_ i: Int) throws -> ImageSize
  /// How errors call picture `i`.
  func place(_ i: Int) -> String
  /// Classes of the label maps that pictures come with; nil where they come with none.
  var mapClasses: Int? { get }
  /// The label map of picture `i`, fitted as `image` is; nil where there is none.
  func map(_ i: Int) throws -> LabelMap?
}

extension ImageSource {
  public var classCount: Int? { classNames?.count }

  public var mapClasses: Int? { nil }

  public func map(_ i: Int) throws -> LabelMap? { nil }

  public func place(_ i: Int) -> String { "\(path)/\(name(i))" }

  public func image(_ i: Int) throws -> ImageBuffer { try contents(i).decoded(name: place(i)) }

  public func size(_ i: Int) throws -> ImageSize { try contents(i).size(name: place(i)) }

  public func fingerprint() throws -> String { try fingerprints([Preparation()])[0] }

  /// What `fingerprint` is of this source prepared in each of these ways: a hash over class names,
  /// preparation, and name, label, size and contents of every picture. Reads everything once.
  public func fingerprints(_ preparations: [Preparation]) throws -> [String] {
    let hashers = preparations.map { preparation in
      let hasher = SHA256Hasher()
      for name in classNames ?? [] { hasher.update("class \(name)\n") }
      hasher.update("fit \(preparation.text)\n")
      return hasher
    }
    for i in 0..<count {
      let (bytes, sha256) = try contents(i).digest()
      let label = label(i).map(String.init) ?? "-"
      for hasher in hashers { hasher.update("\(name(i))\0\(label) \(bytes) \(sha256)\n") }
    }
    return hashers.map { $0.finalizeHex() }
  }
}

/// Pictures with a label map each: what stands at every pixel.
public protocol MaskedImageSource: ImageSource {
  /// Map values are 0 ..< maskClasses, but for 255 where the source says «unlabelled» so.
  var maskClasses: Int { get }
  func mask(_ i: Int) throws -> LabelMap
}

extension MaskedImageSource {
  public var mapClasses: Int? { maskClasses }

  public func map(_ i: Int) throws -> LabelMap? { try mask(i) }
}
