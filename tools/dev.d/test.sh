# shellcheck shell=bash
# Builds everything and runs the tests; ends with ctest's summary and its exit code.

cmd_test() {
  # shellcheck source=tools/dev.d/setup.sh
  source "$PARTS/setup.sh"
  cmd_setup
  configure dev
  cmake --build --preset dev -j "$(build_jobs)"
  ctest --preset dev -j "$(test_jobs)" "$@"
}
