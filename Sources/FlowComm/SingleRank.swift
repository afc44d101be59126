import Diagnostics
import Foundation

/// One rank alone: nothing is sent, and MPI is never touched.
public final class SingleRank: Communicator {
  public let rank = 0
  public let size = 1
  public let nodeRanks = [0]
  public let allowsThreads = true

  public init() {}

  public func send(_ bytes: UnsafeRawBufferPointer, to peer: Int, tag: Int) throws {
    throw failure("send to rank \(peer), tag \(tag)", "there is no other rank")
  }

  public func receive(
    into bytes: UnsafeMutableRawBufferPointer, from peer: Int, tag: Int
  ) throws {
    throw failure("receive from rank \(peer), tag \(tag)", "there is no other rank")
  }

  public func probe(from peer: Int?, tag: Int, timeout: Double?) throws -> Int? {
    throw failure("probe, tag \(tag)", "there is no other rank")
  }

  public func barrier() throws {}
  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {}
  public func allReduce(_ values: [Int64], _ operation: IntegerReduction) throws -> [Int64] {
    values
  }
  public func sumInLibraryOrder(_ values: UnsafeMutableBufferPointer<Float>) throws {}

  public func sharedWindow(bytes: Int) throws -> (any SharedWindow)? {
    try ProcessWindow(bytes: bytes, self)
  }

  public func abort(_ error: UserError) throws -> Never {
    printError(error, rank: rank)
    exit(error.status.rawValue)
  }

  public func finalize() throws {}
}
