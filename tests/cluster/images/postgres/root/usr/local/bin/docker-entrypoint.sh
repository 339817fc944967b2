#!/bin/bash
# Starts PostgreSQL as the official image does. On an empty PGDATA it first makes a cluster out of POSTGRES_PASSWORD,
# POSTGRES_USER, POSTGRES_DB, POSTGRES_INITDB_ARGS and POSTGRES_HOST_AUTH_METHOD (each also as NAME_FILE, a file that
# holds the value) and runs what lies in /docker-entrypoint-initdb.d. Any other command is run as it is.
set -euo pipefail
shopt -s nullglob

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# setting NAME DEFAULT: NAME gets its value from itself, from the file that NAME_FILE names, or the default.
setting() {
  local file_name=$1_FILE
  local value=${!1:-}
  if [[ -n ${!file_name:-} ]]; then
    [[ -z $value ]] || fail "$1 and $file_name are both set; set one"
    value=$(<"${!file_name}")
  fi
  printf -v "$1" '%s' "${value:-$2}"
  export "${1?}"
}

client() { psql -X -v ON_ERROR_STOP=1 --no-password -U "$POSTGRES_USER" -d "$POSTGRES_DB"; }

run_scripts() {
  local script
  for script in /docker-entrypoint-initdb.d/*; do
    printf 'running %s\n' "$script"
    case $script in
      *.sh)
        # One that is not executable is sourced, as by the official image.
        # shellcheck source=/dev/null
        if [[ -x $script ]]; then "$script"; else source "$script"; fi
        ;;
      *.sql) client <"$script" ;;
      *.sql.gz) gzip -dc "$script" | client ;;
      *) printf 'ignoring %s\n' "$script" ;;
    esac
  done
}

initialise() {
  setting POSTGRES_PASSWORD ''
  setting POSTGRES_USER postgres
  setting POSTGRES_DB "$POSTGRES_USER"
  setting POSTGRES_INITDB_ARGS ''
  setting POSTGRES_HOST_AUTH_METHOD scram-sha-256
  [[ -n $POSTGRES_PASSWORD || $POSTGRES_HOST_AUTH_METHOD == trust ]] ||
    fail "the data directory $PGDATA is empty and POSTGRES_PASSWORD is not set; set it"
  local arguments=()
  read -ra arguments <<<"$POSTGRES_INITDB_ARGS"
  if [[ -n $POSTGRES_PASSWORD ]]; then
    arguments+=(--pwfile=/dev/fd/9)
  fi
  initdb --username="$POSTGRES_USER" --auth-local=trust --auth-host="$POSTGRES_HOST_AUTH_METHOD" \
    "${arguments[@]}" 9<<<"$POSTGRES_PASSWORD"
  printf '\nhost all all all %s\n' "$POSTGRES_HOST_AUTH_METHOD" >>"$PGDATA/pg_hba.conf"
  # Nobody but this script reaches the server before it is complete: it listens on no address.
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
  [[ $POSTGRES_DB == postgres ]] || createdb --no-password -U "$POSTGRES_USER" --maintenance-db=postgres "$POSTGRES_DB"
  run_scripts
  pg_ctl -D "$PGDATA" -m fast -w stop
  printf 'PostgreSQL init process complete; ready for start up.\n'
}

case ${1:-postgres} in
  postgres) [[ $# -eq 0 ]] || shift ;;
  -*) ;;
  *) exec "$@" ;;
esac

export PGDATA=${PGDATA:-/var/lib/postgresql/data}
mkdir -p "$PGDATA" /run/postgresql
if [[ $(id -u) -eq 0 ]]; then
  find "$PGDATA" /run/postgresql \! -user postgres -exec chown postgres: '{}' +
  chmod 700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --clear-groups -- "$0" "$@"
fi
# May be another's when the pod runs as this user and the volume is the group's; the server judges it.
chmod 700 "$PGDATA" 2>/dev/null || true
[[ -s $PGDATA/PG_VERSION ]] || initialise
unset POSTGRES_PASSWORD
exec postgres -c listen_addresses='*' "$@"
