"""The cluster needs things of the machine's kernel: bridge, sysctls, mounts. All can be called again at any time."""

import json
import os
import subprocess
from pathlib import Path

from .commands import run, succeeds
from .console import Trouble
from .settings import (KUBELET_DATA, KUBELET_ROOT, NODE_ADDRESS, NODE_BRIDGE, STATE, VOLUMES, VOLUMES_BYTES,
                       VOLUMES_IMAGE)

SYSCTL_FILE = STATE / "sysctl.json"
NEEDED_SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net.bridge.bridge-nf-call-iptables": "1",
    "fs.inotify.max_user_instances": "1024",
}
# kubelet, kube-proxy and our enforcer of network policies set these; they are put back with the ones above.
TOUCHED_SYSCTLS = (
    "net.bridge.bridge-nf-call-ip6tables", "net.ipv4.conf.all.route_localnet", "vm.overcommit_memory",
    "vm.panic_on_oom", "kernel.panic", "kernel.panic_on_oops", "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
)
MODULES = ("overlay", "btrfs", "loop", "br_netfilter")


def _sysctl_path(name: str) -> Path:
    # Dots separate folders, and a name of an interface may hold one; none of ours does.
    return Path("/proc/sys") / name.replace(".", "/")


def read_sysctl(name: str) -> str | None:
    try:
        return _sysctl_path(name).read_text().strip()
    except OSError:
        return None


def load_modules() -> None:
    """The checks tell apart what is built in and what is missing; modprobe does not."""
    for name in MODULES:
        succeeds("modprobe", name)


def set_sysctls() -> None:
    if not SYSCTL_FILE.exists():
        before = {name: read_sysctl(name) for name in (*NEEDED_SYSCTLS, *TOUCHED_SYSCTLS)}
        SYSCTL_FILE.write_text(json.dumps({name: value for name, value in before.items() if value is not None}))
    for name, value in NEEDED_SYSCTLS.items():
        now = read_sysctl(name)
        if now is None:
            raise Trouble(f"the kernel has no sysctl {name}", "For net.bridge it lacks the module br_netfilter.")
        if name.startswith("fs.") and int(now) >= int(value):
            continue
        if now != value:
            _sysctl_path(name).write_text(value)


def restore_sysctls() -> None:
    if not SYSCTL_FILE.exists():
        return
    for name, value in json.loads(SYSCTL_FILE.read_text()).items():
        if read_sysctl(name) not in (None, value):
            _sysctl_path(name).write_text(value)
    SYSCTL_FILE.unlink()


def make_bridge() -> None:
    """An empty bridge carries the node's address: not every kernel has the driver of dummy interfaces."""
    if not succeeds("ip", "link", "show", NODE_BRIDGE):
        run("ip", "link", "add", NODE_BRIDGE, "type", "bridge")
    run("ip", "addr", "replace", f"{NODE_ADDRESS}/32", "dev", NODE_BRIDGE)
    run("ip", "link", "set", NODE_BRIDGE, "up")


def mounts() -> list[tuple[str, str]]:
    """Mount points with their sources, as the kernel lists them: what lies in another comes after it."""
    table = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        point = fields[4].encode().decode("unicode_escape")
        table.append((point, fields[fields.index("-") + 2]))
    return table


def is_mounted(path: Path) -> bool:
    return any(point == str(path) for point, _ in mounts())


def bind_kubelet_folder() -> None:
    """The kubelet's folder is ours, put where everybody expects it, and shared: mounts that are made there have to
    reach into pods, and without systemd the machine's root is a private mount."""
    KUBELET_DATA.mkdir(parents=True, exist_ok=True)
    KUBELET_ROOT.mkdir(parents=True, exist_ok=True)
    if not is_mounted(KUBELET_ROOT):
        run("mount", "--bind", KUBELET_DATA, KUBELET_ROOT)
        run("mount", "--make-private", KUBELET_ROOT)
    run("mount", "--make-rshared", KUBELET_ROOT)


def mount_volumes() -> None:
    if not VOLUMES_IMAGE.exists():
        part = VOLUMES_IMAGE.with_suffix(".part")
        with open(part, "wb") as image:
            image.truncate(VOLUMES_BYTES)
        run("mkfs.btrfs", "-q", "-f", part)
        part.rename(VOLUMES_IMAGE)
    VOLUMES.mkdir(exist_ok=True)
    if not is_mounted(VOLUMES):
        run("mount", "-o", "loop", VOLUMES_IMAGE, VOLUMES)


def prepare() -> None:
    load_modules()
    set_sysctls()
    make_bridge()
    bind_kubelet_folder()
    mount_volumes()


def our_mounts() -> list[str]:
    """Every mount at or under our folders, innermost first."""
    roots = (str(STATE), str(KUBELET_ROOT))
    points = [point for point, _ in mounts() if any(point == root or point.startswith(root + "/") for root in roots)]
    return list(reversed(points))


def unmount_all() -> list[str]:
    """Gives those that stayed. What is busy although all our processes are gone is detached."""
    for point in our_mounts():
        if subprocess.run(["umount", point], capture_output=True).returncode:
            subprocess.run(["umount", "-l", point], capture_output=True)
    try:
        os.rmdir(KUBELET_ROOT)
    except OSError:
        pass  # not empty, so not only ours; or gone
    return our_mounts()
