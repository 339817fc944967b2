# shellcheck shell=bash
# Salvor's image for Kubernetes, as an archive. It needs neither root nor a container engine.

cmd_image() {
  # Python's compiled files stay out of the checkout.
  export PYTHONPYCACHEPREFIX=${SALVOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/salvor}/python
  exec python3 "$ROOT/tools/image/make_image.py" "$@"
}
