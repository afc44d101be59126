# Builds latentflow and leaves an image of Debian 12 with the binary and the libraries it needs.
#
#   docker build -t latentflow .
#   docker run --rm --shm-size=1g latentflow --help
#   docker run --rm --shm-size=1g --entrypoint mpirun latentflow -np 2 --bind-to none latentflow …
#
# scripts/container-check.sh executes these lines where there is no container engine.

FROM swift:6.3-bookworm AS build
WORKDIR /src
COPY scripts/setup.sh scripts/setup.sh
RUN scripts/setup.sh && rm -rf /var/lib/apt/lists/*
COPY Package.swift Package.swift
COPY Sources Sources
COPY Tests Tests
RUN swift build -c release --static-swift-stdlib --product latentflow
RUN install -D --strip "$(swift build -c release --static-swift-stdlib --show-bin-path)/latentflow" /out/latentflow

FROM debian:bookworm-slim
WORKDIR /tmp
COPY scripts/setup.sh /tmp/setup.sh
RUN /tmp/setup.sh --runtime && rm -rf /var/lib/apt/lists/* /tmp/setup.sh
COPY --from=build /out/latentflow /usr/local/bin/latentflow
# A container is one machine with root as its user, and has no ptrace for single-copy messages.
ENV OMPI_ALLOW_RUN_AS_ROOT=1
ENV OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ENV OMPI_MCA_btl_vader_single_copy_mechanism=none
WORKDIR /data
RUN latentflow --help >/dev/null && mpirun -np 2 --oversubscribe --bind-to none true
ENTRYPOINT ["latentflow"]
