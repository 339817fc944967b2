# shellcheck shell=bash
# Everything that can be judged without running the programs. All checks run; the exit code says whether each
# one was content.

readonly CPP='\.(cc|h)$' UNIT='\.cc$'
readonly SHELL_FILES='(^tools/dev$|^tools/bench/[^./]+$|\.sh$|^\.ci/run$)'

check_format() { repository_files "$1" | only "$CPP" | xargs -0 -r clang-format --dry-run --Werror; }

# Files named like shell scripts that are written in another language are left out by their first line.
check_shell() {
  repository_files all | only "$SHELL_FILES" | xargs -0 -r grep -lZE -m1 '^#!.*\b(ba)?sh\b|shellcheck shell=' |
    xargs -0 -r shellcheck -x
}

check_includes() {
  python3 tools/tidy/check_includes.py "$ROOT" && python3 tools/tidy/check_engine_names.py "$ROOT"
}

check_documents() {
  python3 tools/tidy/check_documents.py "$ROOT" && python3 tools/tidy/object_reference.py "$ROOT" --check &&
    python3 tools/tidy/check_dashboards.py "$ROOT"
}

# clang-tidy reads the compile commands of the dev build, and generated headers have to be there.
check_tidy() {
  configure dev || return 1
  cmake --build --preset dev -j "$(build_jobs)" --target salvor_proto salvor_services >/dev/null || return 1
  repository_files "$1" | only "$UNIT" |
    xargs -0 -r -n 1 -P "$(build_jobs)" clang-tidy -p build/dev --quiet --warnings-as-errors='*' 2>/dev/null
}

cmd_check() {
  local which=changed tidy=all failed=()
  while (($#)); do
    case $1 in
      --all) which=all ;;
      --tidy-changed) tidy=changed ;;
      --no-tidy) tidy=no ;;
      *) die "check does not know '$1'" "It takes --all, --tidy-changed and --no-tidy." 2 ;;
    esac
    shift
  done
  # shellcheck source=tools/dev.d/setup.sh
  source "$PARTS/setup.sh"
  cmd_setup
  local name
  for name in format shell includes documents tidy; do
    [[ $name == tidy && $tidy == no ]] && continue
    [[ $name == tidy && $tidy == changed ]] && which=changed
    say "check $name"
    "check_$name" "$which" || failed+=("$name")
  done
  ((${#failed[@]} == 0)) || die "check failed: ${failed[*]}" "'tools/dev format' mends the format." 1
  say "check: all passed"
}
