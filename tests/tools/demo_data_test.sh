#!/usr/bin/env bash
# The demo's data, its writer and its proof, on little data and without Salvor: a backup made by hand with the
# stock tools is lost and restored, the proof accepts it, and then notices every planted difference.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
PARTS=$ROOT/tools/dev.d
DEMO=$(mktemp -d /var/tmp/salvor-demo-test.XXXXXX)
export MIB=8 LC_ALL=C.UTF-8 RESTIC_PASSWORD=test RESTIC_CACHE_DIR=$DEMO/cache PROOF=$DEMO/proof
# shellcheck source=tools/dev.d/common.sh
source "$PARTS/common.sh"
# shellcheck source=tools/dev.d/demo_processes.sh
source "$PARTS/demo_processes.sh"
# shellcheck source=tools/dev.d/demo_application.sh
source "$PARTS/demo_application.sh"
trap 'demo_stop_all; rm -rf "$DEMO"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$DEMO"
mkdir "$DEMO"/{run,log,proof,secrets}

# One database into the vault; prints its part of the manifest.
keep_database() {
  local file=$DEMO/$1.dump
  # As prove.py looks at the restored one: a database's own settings must not change how values are written.
  PGOPTIONS="$(python3 -c 'import sys; sys.path.insert(0, "tools/demo"); import prove; print(prove.PINNED)')" \
    pg_dump -Fc -Z0 -f "$file" "$1"
  restic -q -r "$DEMO/vault" backup --stdin --stdin-filename "$1.dump" <"$file"
  python3 - "$1" "$file" "$DEMO/vault" "$DATA_TOOLS" <<'PYTHON'
import base64, hashlib, json, os, subprocess, sys
name, path, vault, tools = sys.argv[1:]
sys.path.insert(0, tools)
import prove
text = prove.SqlText(subprocess.Popen(["pg_restore", "-f", "-", path], stdout=subprocess.PIPE).stdout)
text.join()
found = json.loads(subprocess.check_output(["restic", "-r", vault, "snapshots", "--json", "--path", f"/{name}.dump"]))
digest = base64.b64encode(hashlib.sha256(open(path, "rb").read()).digest()).decode()
print(json.dumps({"component": "db", "kind": "KIND_POSTGRES_DUMP", "database": name, "snapshot": found[-1]["id"],
                  "path": f"/{name}.dump", "sha256": digest, "bytes": str(os.path.getsize(path)), "rows": str(text.rows)}))
PYTHON
}

keep_by_hand() {
  restic -q -r "$DEMO/vault" init
  restic -q -r "$DEMO/vault" backup "$DEMO/uploads"
  printf '{"backup": "by-hand", "artifacts": [%s, %s]}' "$(keep_database shop)" "$(keep_database shop_audit)" |
    restic -q -r "$DEMO/vault" backup --stdin --stdin-filename manifest.json --tag salvor,kind=manifest
}

restore_by_hand() {
  # The server's own superuser is there already.
  grep -v ' ROLE postgres\b' "$PROOF/roles.before" | grep -vE ' ROLE salvor\b' |
    psql -Xq -v ON_ERROR_STOP=1 -d postgres >/dev/null
  local database
  for database in shop shop_audit; do
    pg_restore --create --exit-on-error -d postgres "$DEMO/$database.dump"
  done
  restic -q -r "$DEMO/vault" restore latest --path "$DEMO/uploads" --target /
}

prove_again() {
  python3 "$DATA_TOOLS/prove.py" --repository "$DEMO/vault" --uploads "$DEMO/uploads" --directory "$PROOF"
}

start_database
make_data
tables=$(psql -XAtq -d shop -c "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text
  IN ('public', 'sales', 'catalog', 'ops')")
((tables >= 12)) || die "database shop has only $tables tables"
[[ $(psql -XAtq -d shop -c "SELECT max(version) FROM public.schema_migrations") == \
  $(sed -n 's/.*expect: "\(2025[0-9]*\)"/\1/p' "$ROOT/deploy/examples/shop.yaml") ]] ||
  die "deploy/examples/shop.yaml expects another migration"
remember_before

start_writer
until [[ $(psql -XAtq -d shop -c "SELECT count(*) FROM ops.heartbeat") -ge 50 ]]; do :; done
keep_by_hand
seen=$(psql -XAtq -d shop -c "SELECT count(*) FROM ops.heartbeat")
until [[ $(psql -XAtq -d shop -c "SELECT count(*) FROM ops.heartbeat") -gt $seen ]]; do :; done
stop_process writer
lose_databases
rm -rf "$DEMO/uploads"
restore_by_hand
prove_again

psql -XAtq -d shop -c "SELECT ops.assert_ready()" | grep -qx ready

# One difference for each line of the proof to notice.
psql -Xq -d shop_audit -c "ALTER TABLE audit.actors ALTER name SET DEFAULT 'x'"
psql -Xq -d shop -c "UPDATE sales.order_lines SET quantity = 5 WHERE order_id = 4 AND line = 1"
psql -Xq -d shop -c "DELETE FROM ops.heartbeat WHERE id = 3"
psql -Xq -d postgres -c "ALTER ROLE shop_app CONNECTION LIMIT 41"
chmod 0600 "$DEMO/uploads/special/script.sh"
if noticed=$(prove_again 2>/dev/null); then
  die "the proof noticed none of the planted differences"
fi
for line in "database shop" "database shop_audit" "rows of shop" "roles" "uploads" "instant of the backup"; do
  grep -q "FAILED  $line:" <<<"$noticed" || die "the proof did not notice what was planted for: $line" "$noticed"
done
[[ $(psql -XAtq -d shop -c "SELECT ops.assert_ready()" 2>&1) == *"heartbeat has gaps"* ]] ||
  die "the application calls itself ready with a lost row"
say "all planted differences were noticed"
