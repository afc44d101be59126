/// Pictures of one size side by side, row by row, on a ground of one grey level.
public struct ImageGrid: Sendable {
  public var columns: Int
  /// Pixels between the pictures and around them.
  public var padding: Int
  public var ground: UInt8

  public init(columns: Int, padding: Int = 2, ground: UInt8 = 255) {
    precondition(columns > 0 && padding >= 0, "\(columns) columns, \(padding) pixels between them")
    self.columns = columns
    self.padding = padding
    self.ground = ground
  }

  public func compose(_ images: [ImageBuffer]) -> ImageBuffer {
    precondition(!images.isEmpty, "a grid of no images")
    let (width, height) = (images[0].width, images[0].height)
    let across = min(columns, images.count)
    let down = (images.count + columns - 1) / columns
    var grid = ImageBuffer(
      width: across * (width + padding) + padding, height: down * (height + padding) + padding,
      gray: ground)
    for (i, image) in images.enumerated() {
      precondition(
        image.size == images[0].size,
        "image \(i) is \(image.sizeText), image 0 is \(images[0].sizeText)")
      let left = padding + i % columns * (width + padding)
      let top = padding + i / columns * (height + padding)
      for y in 0..<height {
        let start = ((top + y) * grid.width + left) * 3
        grid.pixels.replaceSubrange(
          start..<start + width * 3, with: image.pixels[y * width * 3..<(y + 1) * width * 3])
      }
    }
    return grid
  }
}
