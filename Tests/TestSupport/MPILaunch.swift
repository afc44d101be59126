import Foundation

/// Path of a product of this package: it lies beside the test bundle.
public func productPath(_ product: String) -> String {
  let bundle = Bundle.main.bundleURL
  let besides = [bundle, bundle.deletingLastPathComponent()].map {
    $0.appendingPathComponent(product).path
  }
  return besides.first { FileManager.default.isExecutableFile(atPath: $0) } ?? besides[0]
}

/// Runs a product of this package under `mpirun -np ranks`: also as root, on fewer cores than
/// ranks, in containers without cross-memory attach, and without pinning ranks to cores.
///
/// - Parameters:
///   - product: its name, or an absolute path of any program.
///   - threads: OMP_NUM_THREADS of each rank.
public func mpirun(
  _ ranks: Int, _ product: String, _ args: [String], environment: [String: String] = [:],
  threads: Int = 1, timeout: Double = 60
) throws -> (status: Int32, stdout: String, stderr: String) {
  let program = product.hasPrefix("/") ? product : productPath(product)
  let settings = [
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
    "OMP_NUM_THREADS": String(threads), "OMP_PROC_BIND": "false", "OMP_WAIT_POLICY": "passive",
  ].merging(environment) { $1 }
  return try runProcess(
    "/usr/bin/env",
    ["mpirun", "-q", "-np", String(ranks), "--bind-to", "none", "--oversubscribe", program] + args,
    environment: settings, timeout: timeout)
}
