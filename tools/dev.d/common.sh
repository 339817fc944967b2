# shellcheck shell=bash
# Functions that every part of tools/dev uses: talking to people, and how many jobs this machine bears.

say() { printf '%s\n' "$*"; }

# die WHAT [HINT] [EXIT_CODE]
die() {
  printf 'error: %s\n' "$1" >&2
  [[ -n ${2:-} ]] && printf '  hint: %s\n' "$2" >&2
  exit "${3:-1}"
}

# Compilers of this code take up to 1.5 GiB each.
build_jobs() {
  local by_memory
  by_memory=$(awk '/MemAvailable/ {n = int($2 / 1536000); print (n < 1) ? 1 : n}' /proc/meminfo)
  local cores
  cores=$(nproc)
  echo $((cores < by_memory ? cores : by_memory))
}

# Tests mostly wait: for restic's locks, for servers to come up, for processes to end.
test_jobs() { echo $(($(build_jobs) * 3)); }

# configure PRESET: only when needed; the build re-runs it by itself after a change.
configure() {
  [[ -f $ROOT/build/$1/build.ninja ]] && return
  cmake --preset "$1" >"$ROOT/build-$1.log" 2>&1 || {
    cat "$ROOT/build-$1.log" >&2
    rm -f "$ROOT/build-$1.log"
    die "cmake --preset $1 failed" "See the messages above."
  }
  rm -f "$ROOT/build-$1.log"
}

# Files that git knows or would add, NUL-separated: all, or those that differ from the merge base with the
# main branch. In a clone that sits on it, those of the last commit.
repository_files() {
  if [[ $1 == all ]]; then
    git ls-files -z --cached --others --exclude-standard
    return
  fi
  local base
  base=$(git merge-base HEAD origin/main 2>/dev/null || git rev-parse -q --verify HEAD) || return 0
  if [[ $base == "$(git rev-parse HEAD)" ]]; then
    base=$(git rev-parse -q --verify HEAD~1 || echo "$base")
  fi
  git diff -z --name-only --diff-filter=d "$base"
  git ls-files -z --others --exclude-standard
}

# Reads NUL-separated names, keeps existing ones whose name matches the extended regular expression.
only() {
  local name
  while IFS= read -r -d '' name; do
    [[ -f $name && $name =~ $1 ]] && printf '%s\0' "$name"
  done
  return 0
}
