#!/usr/bin/env bash
# Puts a release into a running shop: over-ssh.sh DIST, a directory with till-VERSION-ARCH-linux.tar.gz and SHA256SUMS.
#
#   DEPLOY_TO           deploy@shop.example.com, who may run `sudo till upgrade`
#   DEPLOY_KEY          that user's private key
#   DEPLOY_KNOWN_HOSTS  the server's own keys, as ssh-keyscan prints them
#
# The server keeps its snapshot and its old binary, and goes back by itself if the new one is not ready in time.
set -euo pipefail
dist=${1:?a directory with a release}
: "${DEPLOY_TO:?}" "${DEPLOY_KEY:?}" "${DEPLOY_KNOWN_HOSTS:?}"

umask 077
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
printf '%s\n' "$DEPLOY_KEY" >"$place/key"
printf '%s\n' "$DEPLOY_KNOWN_HOSTS" >"$place/known_hosts"
remote() {
  ssh -i "$place/key" -o UserKnownHostsFile="$place/known_hosts" -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes \
    -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15 -- "$DEPLOY_TO" "$@"
}

(cd "$dist" && sha256sum --check --quiet SHA256SUMS)
arch=$(remote uname -m)
archives=("$dist"/till-*-"$arch"-linux.tar.gz)
if [ "${#archives[@]}" -ne 1 ] || [ ! -f "${archives[0]}" ]; then
  echo "there must be one release for $arch in $dist" >&2
  exit 1
fi
tar --extract --gzip --file "${archives[0]}" --directory "$place" --strip-components 1 --wildcards '*/till'

# In one connection, so that nothing is left behind when it breaks.
# shellcheck disable=SC2016 # It is the server's shell that expands this.
remote 'set -e
  new=$(mktemp -d)
  trap "rm -rf $new" EXIT
  cat >"$new/till"
  chmod -R a+rX,u+x "$new"
  sudo till upgrade --from "$new/till"
  till version' <"$place/till"
