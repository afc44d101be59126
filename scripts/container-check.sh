#!/usr/bin/env bash
# Tries the Dockerfile: with a container engine where one answers, else by executing its lines in
# Debian 12 roots made by debootstrap (root needed, about 3 GB under TMPDIR or /var/tmp).
#
#   scripts/container-check.sh [--chroot] [--keep]
#
#   --chroot   takes the debootstrap way even where a container engine answers
#   --keep     leaves the roots and names the folder
#
# The debootstrap way knows FROM, WORKDIR, ENV, COPY and RUN in the forms that the Dockerfile uses.
# A stage FROM swift:… is a Debian root with the libraries of that image and this machine's own
# Swift toolchain, mounted read-only.  Package sources and proxies are this machine's, and so are
# git's rewritten addresses.  All mounts live in a mount namespace of their own: they are gone when
# the script ends, however it ends.
#
# Exit codes: 0 it builds; 1 a line failed; 64 wrong use; 69 debootstrap or Swift is missing; 77 not root.
set -euo pipefail
repo=$(cd "$(dirname "$0")/.." && pwd)

# What the swift:6.3-bookworm image has beside its toolchain.
readonly swift_image_packages=(
  binutils ca-certificates git libc6-dev libcurl4-openssl-dev libedit2 libgcc-12-dev libsqlite3-0
  libstdc++-12-dev libxml2-dev libz3-dev libncurses6 pkg-config tzdata zlib1g-dev
)

fail() { printf 'error: %s\n' "$2" >&2; exit "$1"; }
step() { printf '[%s] %s\n' "$(date +%H:%M:%S)" "$*"; }
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }

chroot_only=no keep=no inside=''
while (($# > 0)); do
  case $1 in
    --chroot) chroot_only=yes ;;
    --keep) keep=yes ;;
    --inside) inside=$2; shift ;; # this script's own second half, see the end of the file
    --help | -h) usage; exit 0 ;;
    *) fail 64 "unknown option $1; scripts/container-check.sh --help tells the options." ;;
  esac
  shift
done

# --- The Dockerfile's lines -----------------------------------------------------------------------

# Prints one instruction per line: comments dropped, continued lines joined.
instructions() {
  sed -e '/^[[:space:]]*#/d' -e ':a;/\\$/{N;s/\\\n[[:space:]]*//;ba}' "$repo/Dockerfile" \
    | sed '/^[[:space:]]*$/d'
}

# The path that $1 means in the stage, seen from outside.
in_root() { if [[ $1 == /* ]]; then printf '%s' "$root$1"; else printf '%s' "$root$directory/$1"; fi; }

# run COMMAND in the stage's root, its WORKDIR and its ENV.
run() {
  chroot "$root" env -i HOME=/root TERM="${TERM:-dumb}" "${proxies[@]}" \
    PATH="${toolchain_path:+$toolchain_path:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    "${variables[@]}" /bin/sh -c "cd '$directory' && $1"
}

copy() {
  local from=$repo
  if [[ $1 == --from=* ]]; then
    from=$work/${1#--from=}
    shift
  fi
  local target=${*: -1} source
  for source in "${@:1:$#-1}"; do
    local to
    to=$(in_root "$target")
    if [[ -d $from/$source ]]; then # a folder gives its contents
      mkdir -p "$to"
      cp -a "$from/$source/." "$to/"
    else
      if [[ $target == */ ]]; then mkdir -p "$to"; else mkdir -p "$(dirname "$to")"; fi
      cp -a "$from/$source" "$to"
    fi
  done
}

# begin_stage IMAGE [AS NAME]: a fresh root, mounted as a container's would be.
begin_stage() {
  local image=$1 name=${3:-final}
  root=$work/$name directory=/ variables=() toolchain_path=''
  cp -a --reflink=auto "$work/base" "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --rbind -o ro /sys "$root/sys"
  cp /etc/resolv.conf /etc/hosts "$root/etc/"
  if [[ $image == swift:* ]]; then become_swift_image; fi
}

become_swift_image() {
  run "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes \
    --no-install-recommends ${swift_image_packages[*]} >/dev/null"
  local usr
  usr=$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")
  mkdir -p "$root/opt/swift-image/usr"
  mount --bind -o ro "$usr" "$root/opt/swift-image/usr"
  toolchain_path=/opt/swift-image/usr/bin
  # Local folders that git fetches from in place of an address.
  if [[ -e /etc/gitconfig ]]; then cp /etc/gitconfig "$root/etc/"; fi
  local mirror
  while read -r mirror; do
    [[ -d $mirror ]] || continue
    mkdir -p "$root$mirror"
    mount --bind -o ro "$mirror" "$root$mirror"
  done < <(git config --system --name-only --get-regexp '^url\..*\.insteadof$' 2>/dev/null \
    | sed -e 's/^url\.//' -e 's/\.insteadof$//' -e 's|^file://||' | sort -u)
}

execute() {
  local instruction rest count=0
  while read -r instruction rest; do
    count=$((count + 1))
    step "$count: $instruction $rest"
    case $instruction in
      FROM) begin_stage $rest ;;
      WORKDIR) directory=$rest; mkdir -p "$root$directory" ;;
      ENV) variables+=("$rest") ;;
      COPY) copy $rest ;;
      RUN) run "$rest" </dev/null || fail 1 "the Dockerfile's instruction $count failed: RUN $rest" ;;
      ENTRYPOINT | CMD) ;; # nothing to build
      *) fail 64 "the Dockerfile's instruction $count is not known here: $instruction." ;;
    esac
  done < <(instructions)
  step "the Dockerfile's $count instructions went through; final root: $(du -shx "$root" | cut -f 1)"
}

# --- The base root --------------------------------------------------------------------------------

make_base() {
  local mirror
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' | head -n 1)
  step "debootstrap of Debian 12"
  debootstrap --variant=minbase --include=ca-certificates bookworm "$work/base" \
    "${mirror:-http://deb.debian.org/debian}" >"$work/debootstrap.log" \
    || { tail "$work/debootstrap.log" >&2; fail 1 "debootstrap failed; its last lines stand above."; }
  # This machine's sources, keys and proxies, and of apt's settings only those about fetching.
  local part
  for part in sources.list sources.list.d trusted.gpg trusted.gpg.d keyrings auth.conf auth.conf.d; do
    if [[ -e /etc/apt/$part ]]; then cp -a "/etc/apt/$part" "$work/base/etc/apt/"; fi
  done
  if [[ -d /usr/share/keyrings ]]; then cp -an /usr/share/keyrings "$work/base/usr/share/"; fi
  apt-config dump --format '%F "%v";%n' Acquire \
    | grep -E '^Acquire::(https?|Check-|Allow|ForceIPv|Retries)[^ ]* "[^"]+";$' \
    >"$work/base/etc/apt/apt.conf.d/99host"
}

# --- Two halves -----------------------------------------------------------------------------------

if [[ -n $inside ]]; then
  work=$inside
  proxies=()
  for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    if [[ -n ${!name:-} ]]; then proxies+=("$name=${!name}"); fi
  done
  make_base
  execute
  exit 0
fi

if [[ $chroot_only == no ]]; then
  for engine in docker podman; do
    if command -v "$engine" >/dev/null && "$engine" info >/dev/null 2>&1; then
      step "$engine answers"
      exec "$engine" build --tag latentflow "$repo"
    fi
  done
fi
[[ $(id -u) == 0 ]] || fail 77 "no container engine answers, and the debootstrap way needs root."
command -v debootstrap >/dev/null || fail 69 "debootstrap is missing: apt-get install debootstrap"
command -v swift >/dev/null || fail 69 "Swift is missing: scripts/setup.sh tells how to get it."
work=$(mktemp -d "${TMPDIR:-/var/tmp}/latentflow-container.XXXXXX")
# Outside of the namespace nothing is mounted below $work, so that it can be removed safely.
if [[ $keep == yes ]]; then
  trap 'echo "the roots stay in $work"' EXIT
else
  trap 'rm -rf --one-file-system "$work"' EXIT
fi
unshare --mount --propagation private "$0" --inside "$work"
