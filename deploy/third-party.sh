#!/usr/bin/env bash
# Prints the licences of all crates that are linked into the binary for a TARGET: third-party.sh x86_64-unknown-linux-gnu
set -euo pipefail
cd "$(dirname "$0")/.."
target=$1

crates=$(mktemp)
trap 'rm -f "$crates"' EXIT
cargo tree --locked --package till --edges normal --prefix none --target "$target" --format '{p}' |
  sed -E 's/^([^ ]+) v([^ ]+).*/\1 \2/' | sort -u >"$crates"
cargo metadata --locked --format-version 1 --filter-platform "$target" |
  jq -r '.packages[] | select(.source) | [.name, .version, .license // "see below", .manifest_path] | @tsv' | sort |
  while IFS=$'\t' read -r name version license manifest; do
    grep -qx "$name $version" "$crates" || continue
    printf '==== %s %s (%s)\n' "$name" "$version" "$license"
    find "$(dirname "$manifest")" -maxdepth 1 -type f -iregex '.*/\(licen[cs]e\|copying\|notice\|unlicense\)[^/]*' |
      sort | while read -r file; do
      printf '\n-- %s\n' "$(basename "$file")"
      cat "$file"
      echo
    done
    echo
  done
# And of the fonts and the page that are in the sources.
find src -type f \( -iname '*license*' -o -name OFL.txt \) | sort | while read -r file; do
  printf '==== %s\n\n' "$file"
  cat "$file"
  echo
done
