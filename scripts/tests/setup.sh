#!/usr/bin/env bash
# scripts/setup.sh on machines that lack something, played by stubs in PATH.
source "$(dirname "$0")/support.sh"

# The script lies where another user can read it, wherever the checkout is.
cp "$repo/scripts/setup.sh" "$scratch/setup.sh"
chmod 755 "$scratch/setup.sh"
setup=$scratch/setup.sh
triplet=x86_64-linux-gnu

# A machine where every package is installed except those named in the file «missing», Swift is of
# the version in «swift», and apt-get and update-alternatives write their calls down.
stub dpkg-query <<SCRIPT
if [[ \$1 == --listfiles ]]; then
  echo $scratch/root/usr/lib/$triplet/openblas-openmp/libopenblas.so.0
  echo /usr/lib/$triplet/openblas-openmp/libopenblas.so.0
  exit
fi
for name in "\${@:3}"; do
  grep -qx "\$name" $scratch/missing || echo "\$name installed"
done
SCRIPT
stub swift <<SCRIPT
[[ -s $scratch/swift ]] || exit 127
echo "Swift version \$(cat $scratch/swift) (swift-RELEASE)"
SCRIPT
stub apt-get <<SCRIPT
echo "\$*" >>$scratch/calls
case "\$(cat $scratch/apt)" in
  works) : >$scratch/missing ;;
  offline) echo "E: Unable to fetch some archives"; exit 100 ;;
  broken) [[ "\$*" == *update* ]] || { echo "E: Unmet dependencies"; exit 100; } ;;
esac
SCRIPT
stub update-alternatives <<SCRIPT
echo "alternatives \$*" >>$scratch/calls
SCRIPT
stub id <<SCRIPT
case "\$1" in -u) cat $scratch/uid ;; -un) echo someone ;; esac
SCRIPT
stub sudo <<SCRIPT
[[ -s $scratch/sudo ]] || exit 1
[[ \$1 != -n ]] || exit 0
echo "sudo \$*" >>$scratch/calls
"\$@"
SCRIPT
# The loader's link points at the flavour named in «flavour».
stub readlink <<SCRIPT
case "\$2" in
  */openblas-*) echo "\$2" ;;
  *) echo "/usr/lib/$triplet/openblas-\$(cat $scratch/flavour)/libopenblas.so.0" ;;
esac
SCRIPT

# machine MISSING SWIFT APT UID SUDO FLAVOUR
machine() {
  : >"$scratch/calls"
  tr ' ' '\n' <<<"$1" >"$scratch/missing"
  printf '%s' "$2" >"$scratch/swift"
  printf '%s' "$3" >"$scratch/apt"
  printf '%s' "$4" >"$scratch/uid"
  printf '%s' "$5" >"$scratch/sudo"
  printf '%s' "$6" >"$scratch/flavour"
  chmod -R a+rwX "$scratch"
}
calls_are() { diff <(printf '%s\n' "$@" | sed '/^$/d') <(sed 's/-qq .*Timeout=20 //' "$scratch/calls"); }

machine '' 6.3.1 works 1000 '' openmp
expect "nothing to do, no root needed" 0 "ready: " with_stubs "$setup"
check "… and neither apt nor sudo is called" calls_are ''

machine 'libdnnl-dev libpng-dev' 6.3.1 works 0 '' openmp
expect "root installs what is missing" 0 "installing libdnnl-dev libpng-dev" with_stubs "$setup"
check "… and nothing else" calls_are 'update -o Acquire::Retries=0 -o APT::Update::Error-Mode=any' \
  'install --yes --no-install-recommends -o Acquire::Retries=3 libdnnl-dev libpng-dev'

machine 'libdnnl-dev' 6.3.1 works 1000 yes openmp
expect "a user with sudo installs" 0 "installed 1 package" with_stubs "$setup"
check "… through sudo" grep -q '^sudo apt-get .*install .*libdnnl-dev$' "$scratch/calls"

machine 'libdnnl-dev' 6.3.1 works 1000 '' openmp
expect "neither root nor sudo: status 77" 77 "neither root nor allowed" with_stubs "$setup"
expect "… and the command for an administrator" 77 \
  "apt-get update && apt-get install --yes --no-install-recommends libdnnl-dev" with_stubs "$setup"
check "… and apt is not called" calls_are ''

machine 'libdnnl-dev openmpi-bin' 6.3.1 offline 0 '' openmp
expect "no network: status 69" 69 "apt could not reach its package sources" with_stubs "$setup"
expect "… naming the packages" 69 "still missing: openmpi-bin libdnnl-dev." with_stubs "$setup"
expect "… and apt's own words" 69 "apt: E: Unable to fetch" with_stubs "$setup"

machine 'libdnnl-dev' 6.3.1 broken 0 '' openmp
expect "apt refuses: status 69" 69 "apt could not install: libdnnl-dev." with_stubs "$setup"

machine '' 6.3.1 works 0 '' pthread
expect "OpenBLAS's pthread flavour is replaced" 0 "selected OpenBLAS's openmp flavour" \
  with_stubs "$setup"
check "… by update-alternatives" calls_are "alternatives --set libopenblas.so.0-$triplet \
/usr/lib/$triplet/openblas-openmp/libopenblas.so.0"
machine '' 6.3.1 works 1000 '' pthread
expect "… which needs root" 77 "update-alternatives --set libopenblas.so.0" with_stubs "$setup"

machine '' '' works 0 '' openmp
expect "no Swift: status 69 and where to get it" 69 "swift.org/install" with_stubs "$setup"
machine '' 5.10.1 works 0 '' openmp
expect "an old Swift: found and expected" 69 "found 5.10.1, expected 6.1" with_stubs "$setup"
machine '' 10.0 works 0 '' openmp
expect "Swift 10.0 is newer than 6.1" 0 "Swift 10.0" with_stubs "$setup"
machine '' '' works 0 '' openmp
expect "--runtime asks for no Swift" 0 "runtime packages" with_stubs "$setup" --runtime

expect "an unknown option: status 64" 64 "unknown option --frob" "$setup" --frob

# A real user without rights, where this test has the right to become one.
if [[ $(id -u) == 0 ]] && command -v setpriv >/dev/null; then
  rm "$scratch/bin/id"
  machine 'libdnnl-dev' 6.3.1 works 0 '' openmp
  expect "user 65534 may not install" 77 "neither root nor allowed" \
    setpriv --reuid=65534 --regid=65534 --clear-groups env PATH="$scratch/bin:$PATH" "$setup"
fi
finish
