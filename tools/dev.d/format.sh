# shellcheck shell=bash
# clang-format over the C++ files that changed, or over all; and what is written from the sources.

readonly CPP='\.(cc|h)$'

cmd_format() {
  local which=changed
  case ${1:-} in
    '') ;;
    --all) which=all ;;
    *) die "format does not know '$1'" "It takes --all or nothing." 2 ;;
  esac
  repository_files "$which" | only "$CPP" | xargs -0 -r clang-format -i
  python3 tools/tidy/object_reference.py "$ROOT"
}
