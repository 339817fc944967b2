# shellcheck shell=bash
# Runs a program of tools/bench; with no name, lists them.

cmd_bench() {
  local name=${1:-}
  if [[ ! $name =~ ^[a-z][a-z0-9_-]*$ || ! -x $ROOT/tools/bench/$name ]]; then
    say "benchmarks:" >&2
    find "$ROOT/tools/bench" -maxdepth 1 -type f -perm -u+x -printf '  %f\n' 2>/dev/null | sort >&2 || true
    die "no benchmark '${name}'" "Name one of the list: tools/dev bench NAME." 2
  fi
  # shellcheck source=tools/dev.d/setup.sh
  source "$PARTS/setup.sh"
  cmd_setup
  shift
  exec "$ROOT/tools/bench/$name" "$@"
}
