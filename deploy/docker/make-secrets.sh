#!/bin/sh
# Create the secrets that compose.yaml mounts, once: `deploy/docker/make-secrets.sh`. It never replaces one.
# Only you can enter the folder. The containers' users can read the files in it, but they see only their mounts.
set -eu
folder="$(dirname "$0")/secrets"
mkdir -p "$folder"
chmod 700 "$folder"
random() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }
keep() {
  [ -s "$folder/$1" ] && return
  printf '%s' "$2" > "$folder/$1"
  chmod 444 "$folder/$1"
  echo "made secrets/$1"
}
keep flashguard_admin_key "fg_admin_$(random)"
keep postgres_password "$(random)"
keep flashguard_database_url "postgresql://flashguard:$(cat "$folder/postgres_password")@postgres:5432/flashguard"
