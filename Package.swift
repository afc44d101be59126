// swift-tools-version: 6.1
import PackageDescription

// The modules and who may import whom: see ARCHITECTURE.md.  ArchitectureTests reads the
// imports of every source file and fails on an edge that is not listed there.
let package = Package(
  name: "LatentFlow",
  products: [
    .executable(name: "latentflow", targets: ["latentflow"])
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // System libraries.
    .systemLibrary(name: "CBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-openmp-dev"])]),
    .systemLibrary(name: "CDNNL", providers: [.apt(["libdnnl-dev"])]),
    .systemLibrary(name: "CGomp", providers: [.apt(["libgomp1"])]),
    .systemLibrary(name: "COpenMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev"])]),
    .systemLibrary(name: "CLibPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CTurboJPEG", pkgConfig: "libturbojpeg", providers: [.apt(["libturbojpeg0-dev"])]),
    .systemLibrary(name: "CWebP", pkgConfig: "libwebp", providers: [.apt(["libwebp-dev"])]),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .target(name: "CMPI", dependencies: ["COpenMPI"]),
    .target(name: "CImage", dependencies: ["CLibPNG", "CTurboJPEG", "CWebP"]),
    .target(name: "CKernels"),
    .target(name: "CSignals"),

    // The house.
    .target(name: "Diagnostics"),
    .target(name: "FlowTensor", dependencies: ["CBLAS", "CDNNL", "CGomp", "CKernels"]),
    .target(name: "FlowNN", dependencies: ["FlowTensor", "CKernels"]),
    .target(name: "FlowCore", dependencies: ["FlowTensor"]),
    .target(
      name: "FlowModels", dependencies: ["Diagnostics", "FlowCore", "FlowNN", "FlowTensor"]),
    .target(name: "FlowMetrics", dependencies: ["Diagnostics", "FlowTensor", "CBLAS"]),
    .target(
      name: "FlowData",
      dependencies: ["Diagnostics", "FlowTensor", "CImage", "CCrypto", "CZlib"]),
    .target(name: "FlowComm", dependencies: ["CMPI", "Diagnostics"]),
    .target(name: "RunFormat", dependencies: ["Diagnostics"]),
    .target(
      name: "Worker",
      dependencies: [
        "Diagnostics", "FlowTensor", "FlowNN", "FlowCore", "FlowModels", "FlowMetrics", "FlowData",
        "FlowComm",
      ]),
    .target(
      name: "Coordinator",
      dependencies: [
        "Diagnostics", "Worker", "RunFormat", "FlowTensor", "FlowNN", "FlowCore", "FlowModels",
        "FlowMetrics", "FlowData", "FlowComm", "CSignals", "Yams",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(name: "latentflow", dependencies: ["Coordinator"]),

    // Tests.
    .target(name: "TestSupport", dependencies: ["FlowTensor"], path: "Tests/TestSupport"),
    .executableTarget(
      name: "comm-selftest", dependencies: ["FlowComm", "Diagnostics"], path: "Tests/CommSelftest"),
    .executableTarget(
      name: "fuzz-parsers", dependencies: ["Diagnostics", "FlowData"], path: "Tests/FuzzParsers"),
    .testTarget(name: "ArchitectureTests"),
    .testTarget(name: "FlowTensorTests", dependencies: ["FlowTensor", "TestSupport"]),
    .testTarget(name: "FlowNNTests", dependencies: ["FlowNN", "FlowData", "TestSupport"]),
    .testTarget(name: "FlowCoreTests", dependencies: ["FlowCore", "FlowData", "TestSupport"]),
    .testTarget(
      name: "FlowModelsTests",
      dependencies: ["Diagnostics", "FlowModels", "FlowData", "TestSupport"]),
    .testTarget(
      name: "FlowMetricsTests",
      dependencies: ["Diagnostics", "FlowData", "FlowMetrics", "FlowModels", "TestSupport"]),
    .testTarget(
      name: "FlowDataTests", dependencies: ["FlowData", "TestSupport", "fuzz-parsers"]),
    .testTarget(
      name: "FlowCommTests",
      dependencies: ["FlowComm", "Diagnostics", "TestSupport", "comm-selftest"]),
    .testTarget(name: "RunFormatTests", dependencies: ["Diagnostics", "RunFormat"]),
    .testTarget(
      name: "WorkerTests",
      dependencies: [
        "Worker", "Diagnostics", "FlowComm", "FlowData", "FlowMetrics", "FlowModels", "FlowNN",
        "FlowTensor", "TestSupport",
      ]),
    .testTarget(
      name: "EndToEndTests",
      dependencies: ["FlowData", "TestSupport", "latentflow"]),
    .testTarget(
      name: "CoordinatorTests",
      dependencies: [
        "Coordinator", "Diagnostics", "FlowComm", "FlowCore", "FlowData", "FlowTensor", "RunFormat",
        "TestSupport", "Worker",
        "latentflow",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
  ]
)
