#!/usr/bin/env bash
# Installs the system packages that LatentFlow needs on Debian 12 and checks the Swift toolchain.
#
#   scripts/setup.sh             everything needed to build, run and test
#   scripts/setup.sh --runtime   only what a statically linked latentflow needs to run
#   scripts/setup.sh --list      prints the package names, one a line, and ends
#
# Where nothing is missing it calls neither apt nor sudo and takes well under a second.
#
# Exit codes: 0 ready; 64 wrong use; 69 a package could not be fetched or installed, or Swift is
# missing or too old; 77 packages are missing and this user may not install them.
set -euo pipefail

readonly swift_needed=6.1

runtime_packages=(
  openmpi-bin libopenmpi3       # the ranks
  libopenblas0-openmp           # GEMM; the flavour that shares oneDNN's OpenMP pool
  libdnnl2 libgomp1             # convolutions and GEMM, threads
  libpng16-16 libturbojpeg0 libwebp7   # pictures
  libssl3                       # SHA-256 of checkpoints
  zlib1g                        # compressed members of .npz and .pth
)
build_packages=(
  openmpi-bin libopenmpi-dev libopenblas-openmp-dev libdnnl-dev
  libpng-dev libturbojpeg0-dev libwebp-dev libssl-dev zlib1g-dev pkg-config
  libc6-dev libgcc-12-dev libstdc++-12-dev   # crt files, libgomp.so and libstdc++ for the linker
  git                           # Swift packages are fetched with it
  python3                       # drives the comparison of scripts/bench.sh
)

say() { printf 'setup: %s\n' "$*"; }

# Ends the script: exit code, then one line per argument on standard error.
fail() {
  local code=$1
  shift
  printf 'error: %s\n' "$1" >&2
  shift
  if (($# > 0)); then printf '       %s\n' "$@" >&2; fi
  exit "$code"
}

# Prints those of its arguments that dpkg does not have installed.
missing_packages() {
  local installed
  installed=$(dpkg-query --show --showformat='${binary:Package} ${db:Status-Status}\n' "$@" \
    2>/dev/null | sed -n 's/^\([^ :]*\)[^ ]* installed$/\1/p' || true)
  local name
  for name in "$@"; do
    grep --quiet --line-regexp --fixed-strings -- "$name" <<<"$installed" || printf '%s\n' "$name"
  done
}

# Sets as_root to the words that put a command under root; fails with the command for an
# administrator where there is no way.
as_root=()
require_root() {
  local command=$1
  if [[ $(id -u) == 0 ]]; then return; fi
  if command -v sudo >/dev/null; then
    # Without a terminal a password cannot be asked for.
    if sudo -n true 2>/dev/null || [[ -t 0 && -t 2 ]]; then
      as_root=(sudo)
      return
    fi
  fi
  fail 77 "this needs root, and user $(id -un) is neither root nor allowed to use sudo without a password." \
    "Ask an administrator to run this, then start again:" \
    "$command"
}

# Runs apt-get with no questions asked, its output appended to the log file.
apt_get() {
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get -qq \
    -o DPkg::Lock::Timeout=120 -o Acquire::http::Timeout=20 "$@" \
    </dev/null >>"$log" 2>&1
}

install_packages() {
  local command="apt-get update && apt-get install --yes --no-install-recommends $*"
  command -v apt-get >/dev/null || fail 69 "there is no apt-get here, and these packages are missing: $*." \
    "The scripts know Debian 12; elsewhere install the packages' counterparts by hand."
  require_root "$command"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  say "installing $*"
  # A failed update is no failure yet: the packages may be known already, or lie in another source.
  # Only a network that answered is worth asking again: without one this ends in seconds.
  local updated=yes retries=3
  apt_get update -o Acquire::Retries=0 -o APT::Update::Error-Mode=any || updated=no retries=0
  if ! apt_get install --yes --no-install-recommends -o Acquire::Retries=$retries "$@"; then
    sed 's/^/apt: /' "$log" | tail -n 12 >&2
    local still
    still=$(missing_packages "$@" | tr '\n' ' ')
    if [[ $updated == no ]]; then
      fail 69 "apt could not reach its package sources (no network?); still missing: ${still% }." \
        "Check the network and the sources under /etc/apt, or install them from a machine's mirror:" \
        "$command"
    fi
    fail 69 "apt could not install: ${still% }." "Its last lines stand above; by hand:" "$command"
  fi
  say "installed $# package(s)"
}

# OpenBLAS has three flavours behind one SONAME. The loader takes what update-alternatives says, and
# the pthread one goes first where both are installed; next to oneDNN's OpenMP pool it fights for
# the cores.
select_openmp_blas() {
  local triplet link
  triplet=$(dpkg-query --listfiles libopenblas0-openmp \
    | sed -n 's|^/usr/lib/\([^/]*\)/openblas-openmp/libopenblas.*$|\1|p' | head -n 1)
  link=/usr/lib/$triplet/libopenblas.so.0
  local wanted=/usr/lib/$triplet/openblas-openmp/libopenblas.so.0
  if [[ $(readlink -f "$link") == "$(readlink -f "$wanted")" ]]; then return; fi
  local name=libopenblas.so.0-$triplet
  require_root "update-alternatives --set $name $wanted"
  "${as_root[@]}" update-alternatives --set "$name" "$wanted" >/dev/null \
    || fail 69 "OpenBLAS's openmp flavour could not be selected." \
      "By hand: update-alternatives --set $name $wanted"
  say "selected OpenBLAS's openmp flavour ($name)"
}

# True when version $1 is at least version $2.
version_at_least() {
  [[ $(printf '%s\n%s\n' "$2" "$1" | sort --version-sort | head -n 1) == "$2" ]]
}

check_swift() {
  local found
  found=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p' | head -n 1 \
    || true)
  if [[ -n $found ]] && version_at_least "$found" "$swift_needed"; then
    swift_found=$found
    return
  fi
  fail 69 "Swift: found ${found:-none}, expected $swift_needed or newer." \
    "Debian 12 has no package of it. Take the toolchain for Debian 12 from" \
    "https://swift.org/install/linux, unpack it and put its usr/bin into PATH:" \
    '  tar -xzf swift-*-debian12.tar.gz -C "$HOME"' \
    '  export PATH="$(echo "$HOME"/swift-*-debian12/usr/bin):$PATH"' \
    "or build in a container, which brings Swift along: docker build -t latentflow ."
}

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }

main() {
  local packages=("${build_packages[@]}") list=no runtime=no
  while (($# > 0)); do
    case $1 in
      --runtime) packages=("${runtime_packages[@]}") runtime=yes ;;
      --list) list=yes ;;
      --help | -h) usage; exit 0 ;;
      *) fail 64 "unknown option $1." "scripts/setup.sh --help tells the options." ;;
    esac
    shift
  done
  if [[ $list == yes ]]; then
    printf '%s\n' "${packages[@]}"
    exit 0
  fi

  command -v dpkg-query >/dev/null || fail 69 "this is not a Debian system: there is no dpkg-query." \
    "Needed packages, by their Debian 12 names: ${packages[*]}"
  local missing
  mapfile -t missing < <(missing_packages "${packages[@]}")
  if ((${#missing[@]} > 0)); then install_packages "${missing[@]}"; fi
  select_openmp_blas
  if [[ $runtime == yes ]]; then
    say "ready: ${#packages[@]} runtime packages"
  else
    check_swift
    say "ready: ${#packages[@]} packages, Swift $swift_found"
  fi
}

main "$@"
