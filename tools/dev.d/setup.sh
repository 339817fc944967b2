# shellcheck shell=bash
# Installs the Debian packages of packages.txt that are missing, and starts no service by it.

readonly SETUP_BYTES_NEEDED=4000000000
# Whoever needs others sets it before.
PACKAGE_LIST=${PACKAGE_LIST:-$PARTS/packages.txt}

wanted_packages() { sed -e 's/[[:space:]]*#.*//' -e '/^[[:space:]]*$/d' "$PACKAGE_LIST"; }

missing_packages() {
  local installed
  # dpkg-query fails when it knows one of them not at all, and still answers for the others.
  # shellcheck disable=SC2046
  installed=$({ dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' $(wanted_packages) 2>/dev/null || true; } |
    awk '$1 == "ii" {print $2}')
  comm -23 <(wanted_packages | sort -u) <(sort -u <<<"$installed")
}

require_debian_12() {
  local id='' version=''
  if [[ -r /etc/os-release ]]; then
    # shellcheck source=/dev/null
    id=$(source /etc/os-release && echo "${ID:-}") version=$(source /etc/os-release && echo "${VERSION_ID:-}")
  fi
  [[ $id == debian && $version == 12 ]] ||
    die "this is '$id $version', not Debian 12, and packages are missing: $(missing_packages | xargs)" \
      "Use a Debian 12 machine, container or chroot; only its packages are tested."
}

# The words that run a command as root, in AS_ROOT.
find_root() {
  AS_ROOT=()
  [[ $EUID -eq 0 ]] && return
  command -v sudo >/dev/null || die "installing needs root, and there is no sudo" \
    "Run 'tools/dev setup' as root once; the rest works as any user."
  AS_ROOT=(sudo)
}

require_space() {
  local free
  free=$(df --output=avail -B1 /usr | tail -n 1)
  ((free >= SETUP_BYTES_NEEDED)) ||
    die "/usr has $((free / 1000000)) MB free, and the packages need $((SETUP_BYTES_NEEDED / 1000000)) MB" \
      "Make room and try again."
}

# While packages are installed: no service starts, and PostgreSQL makes no cluster of its own.
readonly POLICY=/usr/sbin/policy-rc.d
readonly NO_CLUSTER=/etc/postgresql-common/createcluster.d/salvor-setup.conf

install_guards() {
  if [[ ! -e $POLICY ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${AS_ROOT[@]}" tee "$POLICY" >/dev/null
    "${AS_ROOT[@]}" chmod 755 "$POLICY"
    made_policy=yes
  fi
  "${AS_ROOT[@]}" mkdir -p "$(dirname "$NO_CLUSTER")"
  echo 'create_main_cluster = false' | "${AS_ROOT[@]}" tee "$NO_CLUSTER" >/dev/null
}

remove_guards() {
  "${AS_ROOT[@]}" rm -f "$NO_CLUSTER"
  [[ ${made_policy:-} == yes ]] && "${AS_ROOT[@]}" rm -f "$POLICY"
  return 0
}

# Services that came with what we installed are not to come up at the next boot either.
disable_new_services() {
  local package
  command -v systemctl >/dev/null || return 0
  for package in "$@"; do
    case $package in
      prometheus) "${AS_ROOT[@]}" systemctl disable prometheus.service >/dev/null 2>&1 || true ;;
      containerd) "${AS_ROOT[@]}" systemctl disable containerd.service >/dev/null 2>&1 || true ;;
      mariadb-server) "${AS_ROOT[@]}" systemctl disable mariadb.service >/dev/null 2>&1 || true ;;
      redis-server) "${AS_ROOT[@]}" systemctl disable redis-server.service >/dev/null 2>&1 || true ;;
      slapd) "${AS_ROOT[@]}" systemctl disable slapd.service >/dev/null 2>&1 || true ;;
      postgresql-15) "${AS_ROOT[@]}" systemctl disable postgresql.service >/dev/null 2>&1 || true ;;
    esac
  done
}

# In a subshell: the traps are its own, and those of the caller (the demo's) stay as they are.
install_packages() (
  local environment=(env DEBIAN_FRONTEND=noninteractive)
  local made_policy=''
  install_guards
  trap remove_guards EXIT
  "${AS_ROOT[@]}" apt-get -q update || die "apt-get update failed" "Look at the messages above and at the network."
  "${AS_ROOT[@]}" "${environment[@]}" apt-get -q -y -o Dpkg::Options::=--force-confold \
    install --no-install-recommends "$@" ||
    die "apt-get install failed" "Look at the messages above; 'apt-get -f install' may help."
  disable_new_services "$@"
)

cmd_setup() {
  local missing=()
  mapfile -t missing < <(missing_packages)
  if ((${#missing[@]} == 0)); then
    say "setup: all $(wanted_packages | wc -l) packages are installed"
    return
  fi
  require_debian_12
  require_space
  find_root
  say "setup: will install these Debian packages and what they depend on, and start no service:"
  printf '%s\n' "${missing[*]}" | fold -s -w 76 | sed 's/^/  /'
  [[ ${#AS_ROOT[@]} -eq 0 ]] || say "setup: sudo may ask for your password"
  install_packages "${missing[@]}"
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]} == 0)) || die "still not installed: ${missing[*]}" "Install them by hand and try again."
  say "setup: done"
}
