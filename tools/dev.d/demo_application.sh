# shellcheck shell=bash
# The application that is backed up: its own PostgreSQL, run by an unprivileged user and reached by a unix
# socket, a folder of uploads, and a writer. tools/demo holds what fills them.

readonly POSTGRES_BIN=/usr/lib/postgresql/15/bin
readonly DATA_TOOLS=$ROOT/tools/demo

# As the user who runs the database: never root, which PostgreSQL refuses.
as_database_user() {
  if [[ $EUID -eq 0 ]]; then
    (cd / && runuser -u postgres -- "$@" 9>&-)
  else
    (cd / && "$@" 9>&-)
  fi
}

# Who may come in: the one who runs the demo, under the names of the demo, shown by the socket (no password); and
# nobody, as whom root's agent runs the application's checks of a restore.
write_access_rules() {
  local user role
  for role in postgres salvor shop_app; do
    for user in $(printf '%s\n' "$(id -un)" postgres nobody | sort -u); do
      printf 'demo %s %s\n' "$user" "$role"
    done
  done >"$DEMO/secrets/pg_ident.conf"
  echo 'local all all peer map=demo' >"$DEMO/secrets/pg_hba.conf"
}

start_database() {
  local group=$EUID
  [[ $EUID -eq 0 ]] && group=postgres
  install -d -m 755 -o "$group" "$DEMO/pg"
  install -d -m 700 -o "$group" "$DEMO/pgdata"
  write_access_rules
  (as_database_user "$POSTGRES_BIN/initdb" -D "$DEMO/pgdata" -U postgres -E UTF8 --locale=C.UTF-8 --auth=peer \
    --no-instructions) >"$DEMO/log/initdb.log" 2>&1
  install -m 600 -o "$group" "$DEMO"/secrets/pg_{hba,ident}.conf "$DEMO/pgdata/"
  cat >"$DEMO/proof/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$DEMO/pg'
shared_buffers = 256MB
maintenance_work_mem = 256MB
max_wal_size = 4GB
log_line_prefix = '%m [%p] %u@%d '
CONF
  cat "$DEMO/proof/postgresql.conf" >>"$DEMO/pgdata/postgresql.conf"
  as_database_user "$POSTGRES_BIN/pg_ctl" -D "$DEMO/pgdata" -w -s -l "$DEMO/pgdata/server.log" start
  remember_process database "$(head -n 1 "$DEMO/pgdata/postmaster.pid")" INT
  export PGHOST=$DEMO/pg PGUSER=postgres
}

# run_sql DATABASE FILE
run_sql() { psql -Xq -v ON_ERROR_STOP=1 -v "mib=$MIB" -d "$1" -f "$DATA_TOOLS/$2" 9>&-; }

# Two sessions at once, for two cores.
load_databases() {
  run_sql postgres roles.sql
  # Salvor's own role. Superuser, for three reasons: only a superuser reads every large object, creates any role,
  # and restores objects under any owner.
  psql -Xq -d postgres -c "CREATE ROLE salvor LOGIN SUPERUSER" 9>&-
  run_sql shop shop_schema.sql
  run_sql shop shop_orders.sql &
  local orders=$!
  { run_sql shop shop_content.sql && run_sql shop_audit shop_audit.sql; } &
  local others=$!
  wait "$orders" || return 1
  wait "$others" || return 1
  run_sql shop shop_finish.sql
  psql -Xq -d postgres -c CHECKPOINT 9>&-
}

make_data() {
  python3 "$DATA_TOOLS/make_uploads.py" "$DEMO/uploads" --mib 64
  load_databases || die "the demo's data could not be made" "See the messages above."
  say "      $(psql -XAtq -d postgres -c "SELECT string_agg(datname || ' ' ||
    pg_size_pretty(pg_database_size(datname)), ', ') FROM pg_database WHERE datname LIKE 'shop%'"), $(
    find "$DEMO/uploads" -printf x | wc -c) uploads"
}

# Prints what must be the same again after everything was lost and restored.
remember_before() {
  python3 "$DATA_TOOLS/tree_fingerprint.py" "$DEMO/uploads" >"$DEMO/proof/uploads.before"
  (umask 077 && pg_dumpall --roles-only >"$DEMO/proof/roles.before")
}

start_writer() {
  PGUSER=shop_app start_process writer TERM python3 "$DATA_TOOLS/writer.py" --status "$DEMO/proof/writer.json"
  await writer 20 "the writer is at work" test -s "$DEMO/proof/writer.json"
}

lose_databases() {
  psql -Xq -v ON_ERROR_STOP=1 -d postgres 9>&- <<'SQL'
DROP DATABASE shop WITH (FORCE);
DROP DATABASE shop_audit WITH (FORCE);
DROP ROLE shop_app, shop_support, "Shop Accounting", shop_reader, shop_owner;
SQL
}

prove() {
  RESTIC_PASSWORD_FILE=$DEMO/secrets/vault.password RESTIC_CACHE_DIR=$DEMO/proof/cache \
    attended python3 "$DATA_TOOLS/prove.py" --repository "$DEMO/vault" --uploads "$DEMO/uploads" \
    --directory "$DEMO/proof"
}
