#!/bin/bash
# Starts MariaDB as the official image does. On an empty data directory it first makes one out of
# MARIADB_ROOT_PASSWORD (or MARIADB_ALLOW_EMPTY_ROOT_PASSWORD), MARIADB_ROOT_HOST, MARIADB_DATABASE, MARIADB_USER and
# MARIADB_PASSWORD (each also as NAME_FILE, a file that holds the value, and as MYSQL_…) and runs what lies in
# /docker-entrypoint-initdb.d. Any other command is run as it is.
set -euo pipefail
shopt -s nullglob

readonly DATA=/var/lib/mysql SOCKET=/run/mysqld/mysqld.sock START_LIMIT_SECONDS=120

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# setting NAME DEFAULT: MARIADB_NAME gets its value from itself, from MYSQL_NAME, from the file that either's _FILE
# names, or the default.
setting() {
  local name=MARIADB_$1 value='' source
  for source in "MARIADB_$1" "MYSQL_$1"; do
    local file_name=${source}_FILE
    [[ -n $value ]] || value=${!source:-}
    [[ -n $value || -z ${!file_name:-} ]] || value=$(<"${!file_name}")
  done
  printf -v "$name" '%s' "${value:-$2}"
  export "${name?}"
}

# As a string in SQL, and as a name.
text() {
  local value=${1//\\/\\\\}
  printf "'%s'" "${value//\'/\'\'}"
}
# shellcheck disable=SC2016
name() { printf '`%s`' "${1//\`/\`\`}"; }

# The password goes by a file, since arguments are for everyone to see.
client() {
  mariadb --defaults-extra-file=<(client_options) --protocol=socket -u root -S "$SOCKET" "$@"
}
client_options() {
  local value=${ROOT_NOW//\\/\\\\}
  printf '[client]\npassword="%s"\n' "${value//\"/\\\"}"
}

start_for_setup() {
  # Nobody but this script reaches the server before it is complete.
  mariadbd "$@" --skip-networking --socket="$SOCKET" &
  server=$!
  local deadline=$((SECONDS + START_LIMIT_SECONDS))
  until client -e 'SELECT 1' >/dev/null 2>&1; do
    kill -0 "$server" 2>/dev/null || fail "the server ended while it was set up; its messages stand above"
    ((SECONDS < deadline)) || fail "the server did not answer within $START_LIMIT_SECONDS s"
    sleep 0.1
  done
}

accounts() {
  printf 'SET @@SESSION.SQL_LOG_BIN=0;\n'
  # Made by mariadb-install-db, without a password.
  printf "DROP USER IF EXISTS root@'127.0.0.1', root@'::1';\n"
  printf "EXECUTE IMMEDIATE CONCAT('DROP USER IF EXISTS root@', QUOTE(@@hostname));\n"
  printf 'ALTER USER root@localhost IDENTIFIED BY %s;\n' "$(text "$MARIADB_ROOT_PASSWORD")"
  if [[ $MARIADB_ROOT_HOST != localhost ]]; then
    printf 'CREATE USER root@%s IDENTIFIED BY %s;\n' "$(text "$MARIADB_ROOT_HOST")" "$(text "$MARIADB_ROOT_PASSWORD")"
    printf 'GRANT ALL ON *.* TO root@%s WITH GRANT OPTION;\n' "$(text "$MARIADB_ROOT_HOST")"
  fi
  [[ -z $MARIADB_DATABASE ]] || printf 'CREATE DATABASE IF NOT EXISTS %s;\n' "$(name "$MARIADB_DATABASE")"
  [[ -n $MARIADB_USER ]] || return 0
  printf "CREATE USER %s@'%%' IDENTIFIED BY %s;\n" "$(text "$MARIADB_USER")" "$(text "$MARIADB_PASSWORD")"
  # In a database's name of a GRANT, _ and % stand for any character unless they are escaped.
  local pattern=${MARIADB_DATABASE//_/\\_}
  [[ -z $MARIADB_DATABASE ]] ||
    printf "GRANT ALL ON %s.* TO %s@'%%';\n" "$(name "${pattern//%/\\%}")" "$(text "$MARIADB_USER")"
}

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
      *.sql) client ${MARIADB_DATABASE:+"$MARIADB_DATABASE"} <"$script" ;;
      *.sql.gz) gzip -dc "$script" | client ${MARIADB_DATABASE:+"$MARIADB_DATABASE"} ;;
      *) printf 'ignoring %s\n' "$script" ;;
    esac
  done
}

initialise() {
  setting ROOT_PASSWORD ''
  setting ALLOW_EMPTY_ROOT_PASSWORD ''
  setting ROOT_HOST %
  setting DATABASE ''
  setting USER ''
  setting PASSWORD ''
  [[ -n $MARIADB_ROOT_PASSWORD || -n $MARIADB_ALLOW_EMPTY_ROOT_PASSWORD ]] ||
    fail "the data directory $DATA is empty and MARIADB_ROOT_PASSWORD is not set; set it"
  [[ -z $MARIADB_USER || -n $MARIADB_PASSWORD ]] || fail "MARIADB_USER is set and MARIADB_PASSWORD is not; set it"
  mariadb-install-db --datadir="$DATA" --rpm --auth-root-authentication-method=normal --skip-test-db
  ROOT_NOW=''
  start_for_setup "$@"
  accounts | client
  ROOT_NOW=$MARIADB_ROOT_PASSWORD
  run_scripts
  kill -TERM "$server"
  wait "$server"
  printf 'MariaDB init process done. Ready for start up.\n'
}

case ${1:-mariadbd} in
  mariadbd | mysqld) [[ $# -eq 0 ]] || shift ;;
  -*) ;;
  *) exec "$@" ;;
esac

mkdir -p "$DATA" "${SOCKET%/*}"
if [[ $(id -u) -eq 0 ]]; then
  find "$DATA" "${SOCKET%/*}" \! -user mysql -exec chown mysql: '{}' +
  exec setpriv --reuid=mysql --regid=mysql --clear-groups -- "$0" "$@"
fi
[[ -d $DATA/mysql ]] || initialise "$@"
unset MARIADB_ROOT_PASSWORD MARIADB_PASSWORD MYSQL_ROOT_PASSWORD MYSQL_PASSWORD
exec mariadbd "$@"
