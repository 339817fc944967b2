# shellcheck shell=bash
# A real Kubernetes with Velero on this machine; tests/cluster does the work, this sees to its Debian packages.

cmd_cluster() {
  case ${1:-} in
    up | build | reset)
      [[ $EUID -eq 0 ]] || die "the cluster needs root (it mounts, makes networks and runs a kubelet)" \
        "Run it as root, for instance with sudo."
      # shellcheck disable=SC2034 # read by setup.sh
      PACKAGE_LIST=$ROOT/tests/cluster/packages.txt
      # shellcheck source=tools/dev.d/setup.sh
      source "$PARTS/setup.sh"
      cmd_setup
      # Any Go will do: it fetches the one that is needed.
      if ! command -v go >/dev/null && [[ ! -x /usr/local/go/bin/go ]]; then
        PACKAGE_LIST=$ROOT/tests/cluster/packages-go.txt
        cmd_setup
      fi
      ;;
  esac
  # Python's compiled files stay out of the checkout.
  export PYTHONPYCACHEPREFIX=${SALVOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/salvor}/python
  exec python3 "$ROOT/tests/cluster/cluster.py" "$@"
}
