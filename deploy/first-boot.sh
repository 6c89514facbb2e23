#!/usr/bin/env bash
# From an empty server to a running shop: puts the data on its own volume, if there is one, and installs the service.
# It stands in the release beside the binary, and is what deploy/digitalocean and deploy/aws run at the first start.
#
#   DOMAIN=shop.example.com EMAIL=ann@example.com VOLUME=/dev/disk/by-id/… ./first-boot.sh
#
# DOMAIN   what customers call the shop: it gets a certificate for it (without one, plain HTTP on port 80)
# EMAIL    where the certificate authority writes to
# VOLUME   the device for the data; an empty one is formatted, one that has a file system is used as it is
# A second run changes nothing that is there.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
data=/var/lib/till
config=/etc/till/config.toml
domain=${DOMAIN:-}
email=${EMAIL:-}
volume=${VOLUME:-}

if [ "$(id -u)" -ne 0 ]; then
  echo "this needs root: it mounts a volume and installs a service" >&2
  exit 1
fi
for word in "$domain" "$email"; do
  if [[ $word == *[\"\\[:space:]]* ]]; then
    echo "DOMAIN and EMAIL must have no blanks, quotes or backslashes" >&2
    exit 1
  fi
done

if [ -n "$volume" ] && ! mountpoint --quiet "$data"; then
  # A cloud may attach it some time after the start.
  for _ in $(seq 150); do
    [ -b "$volume" ] && break
    sleep 2
  done
  if [ ! -b "$volume" ]; then
    echo "$volume is no disk, after five minutes: is the volume attached?" >&2
    exit 1
  fi
  # 2: nothing is known to be on it. Any other failure is not taken for an empty disk.
  found=0
  blkid --probe "$volume" >/dev/null || found=$?
  case $found in
    0) ;;
    2) mkfs.ext4 -q -L till "$volume" ;;
    *)
      echo "can't tell what is on $volume (blkid: $found); nothing was done" >&2
      exit 1
      ;;
  esac
  if ! uuid=$(blkid --probe --match-tag UUID --output value "$volume") || [ -z "$uuid" ]; then
    echo "$volume has something on it that is no file system (partitions?); nothing was done" >&2
    exit 1
  fi
  install -d -m 700 "$data"
  # nofail: without its volume the machine starts, and can be logged in to. The shop does not: its StateDirectory= is there.
  grep -q "^UUID=$uuid " /etc/fstab || echo "UUID=$uuid $data auto defaults,noatime,nofail 0 2" >>/etc/fstab
  systemctl daemon-reload
  mount "$data"
fi

if [ ! -e "$config" ]; then
  install -d -m 755 "$(dirname "$config")"
  new=$(mktemp)
  trap 'rm -f "$new"' EXIT
  if [ -n "$domain" ]; then
    printf '[https]\ndomain = "%s"\nacme_email = "%s"\n' "$domain" "$email" >"$new"
  else
    printf '[server]\nlisten = "[::]:80"\n' >"$new"
  fi
  printf '\n[data]\ndir = "%s"\n\n[backup]\ndaily_at = "03:30"\n' "$data" >>"$new"
  "$here/till" service install --config "$new"
else
  "$here/till" service install
fi
