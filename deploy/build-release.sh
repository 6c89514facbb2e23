#!/usr/bin/env bash
# Builds the release for this machine's architecture and packs it: dist/till-VERSION-ARCH-linux.tar.gz and its
# SHA256SUMS. The binary runs wherever glibc is 2.17 or newer (2012): Debian 8, Ubuntu 14.04, CentOS 7 and later.
# Needs the Rust toolchain, a C compiler, python3 with venv, jq and binutils.
set -euo pipefail
cd "$(dirname "$0")/.."

glibc=2.17
arch=$(uname -m)
target=$arch-unknown-linux-gnu
version=$(cargo metadata --no-deps --locked --format-version 1 | jq -r '.packages[] | select(.name == "till").version')
name=till-$version-$arch-linux
dist=$PWD/dist
built=${CARGO_TARGET_DIR:-target}

tools=$built/release-tools
if ! cmp -s deploy/build-requirements.txt "$tools/requirements.txt"; then
  python3 -m venv --clear "$tools"
  "$tools/bin/pip" install --quiet --require-hashes --only-binary :all: --requirement deploy/build-requirements.txt
  cp deploy/build-requirements.txt "$tools/requirements.txt"
fi
PATH="$tools/bin:$PATH" cargo zigbuild --release --locked --target "$target.$glibc"
binary=$built/$target/release/till

newest=$(objdump -T "$binary" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
if [ "$(printf '%s\n' "$newest" "GLIBC_$glibc" | sort -V | tail -1)" != "GLIBC_$glibc" ]; then
  echo "the binary asks for $newest; it is to run with glibc $glibc" >&2
  exit 1
fi

pack=$(mktemp -d)
trap 'rm -rf "$pack"' EXIT
mkdir -p "$pack/$name/completions" "$dist"
install -m 755 "$binary" deploy/first-boot.sh "$pack/$name/"
install -m 644 README.md config.toml.example LICENSE-MIT LICENSE-APACHE "$pack/$name/"
for shell in bash zsh fish; do
  "$binary" completions "$shell" >"$pack/$name/completions/till.$shell"
done
# The licences of what is linked in go with it.
deploy/third-party.sh "$target" >"$pack/$name/THIRD-PARTY.txt"

# The same sources make the same archive.
tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-0}" \
  --directory "$pack" "$name" | gzip --no-name --best >"$dist/$name.tar.gz"
(cd "$dist" && sha256sum till-*.tar.gz >SHA256SUMS)
ls -l "$binary" "$dist"
