"""Everything that would make a start fail, told before anything is changed."""

import json
import os
import re
import shutil
import socket
from ipaddress import ip_network
from pathlib import Path

from . import leftovers, processes
from .commands import find, run
from .components import table
from .console import Unfit
from .golang import find_go
from .host import is_mounted
from .settings import KUBELET_ROOT, NETWORK, NODE_BRIDGE, POD_BRIDGE, STATE, VOLUMES, cache

MEMORY_BYTES = 3 << 30
BUILD_MEMORY_BYTES = 4 << 30
STATE_BYTES = 6 << 30
CACHE_BYTES = 3 << 30
# Go's compiled packages and downloaded modules.
GO_BYTES = 9 << 30
PROGRAMS = ("containerd", "runc", "ctr", "iptables", "ipset", "ip", "conntrack", "btrfs", "mkfs.btrfs", "openssl",
            "mount", "ss")
FILE_SYSTEMS = ("overlay", "btrfs")
# Bridges of other clusters' pod networks.
FOREIGN_LINKS = re.compile(r"cni\d|cbr0|flannel|cilium|cali|kube-")
IP_FREEBIND = 15


def _available_memory() -> int:
    return int(re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1)) * 1024


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _free(path: Path) -> int:
    return shutil.disk_usage(_existing(path)).free


def _gigabytes(number: int) -> str:
    return f"{number / (1 << 30):.1f} GiB"


def _check_debian() -> None:
    text = Path("/etc/os-release").read_text()
    if not re.search(r"^ID=debian$", text, re.M) or not re.search(r'^VERSION_ID="12"$', text, re.M):
        name = re.search(r'^PRETTY_NAME="?(.*?)"?$', text, re.M)
        raise Unfit(f"this is {name.group(1) if name else 'another system'}, not Debian 12",
                    "Use a Debian 12 machine; only its packages are tested.")


def _check_disk(building: bool) -> None:
    """Folders on one file system need the sum."""
    needs = [(STATE, STATE_BYTES)]
    if building:
        needs += [(cache(), CACHE_BYTES), (Path(os.environ.get("GOCACHE") or Path.home()), GO_BYTES)]
    together: dict[int, list[tuple[Path, int]]] = {}
    for path, needed in needs:
        together.setdefault(_existing(path).stat().st_dev, []).append((path, needed))
    for folders in together.values():
        needed, free = sum(number for _, number in folders), _free(folders[0][0])
        if free < needed:
            names = " and ".join(str(path) for path, _ in folders)
            raise Unfit(f"{_gigabytes(free)} are free for {names}, and {_gigabytes(needed)} are needed",
                        "Make room; SALVOR_CACHE and GOCACHE move what is built to another disk.")


def _check_memory(building: bool) -> None:
    needed = BUILD_MEMORY_BYTES if building else MEMORY_BYTES
    if _available_memory() < needed:
        raise Unfit(f"{_gigabytes(_available_memory())} of memory are available, and {_gigabytes(needed)} are needed",
                    "Stop something, or give the machine more memory.")


def check_machine(building: bool) -> None:
    """Checks that both building and starting need."""
    if os.geteuid() != 0:
        raise Unfit("the cluster needs root (it mounts, makes networks and runs a kubelet)",
                    "Run it as root, for instance with sudo.")
    _check_debian()
    _check_disk(building)
    _check_memory(building)
    missing = [program for program in PROGRAMS if not find(program)]
    if missing:
        raise Unfit(f"not installed: {', '.join(missing)}", "'tools/dev cluster up' installs them.")
    if building:
        find_go()


def _check_kernel() -> None:
    run("modprobe", "-a", *FILE_SYSTEMS, check=False)
    known = Path("/proc/filesystems").read_text().split()
    missing = [name for name in FILE_SYSTEMS if name not in known]
    if missing:
        raise Unfit(f"the kernel has no {' and no '.join(missing)}", "The cluster needs a kernel with them.")


def _listener(address: str) -> str:
    port = address.rpartition(":")[2]
    lines = run("ss", "-Hltnup", f"sport = :{port}", check=False)
    name = re.search(r'\("([^"]+)",pid=(\d+)', lines)
    return f"{name.group(1)} (pid {name.group(2)})" if name else "something"


def _is_free(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        # The node's address is not there before the start.
        probe.setsockopt(socket.SOL_IP, IP_FREEBIND, 1)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
            probe.listen()
            return True
        except OSError:
            return False


def _check_ports() -> None:
    for component in table():
        if processes.find(component.name):
            continue
        for address in component.listens:
            if not _is_free(address):
                raise Unfit(f"{address}, which {component.name} needs, is taken by {_listener(address)}",
                            "Stop that first.")


def _check_addresses() -> None:
    """Nobody else may use the network that is ours."""
    ours = ip_network(NETWORK)
    for link in json.loads(run("ip", "-j", "addr") or "[]"):
        if link.get("ifname") in (NODE_BRIDGE, POD_BRIDGE):
            continue
        for address in link.get("addr_info", []):
            if address["family"] == "inet" and ip_network(address["local"]).subnet_of(ours):
                raise Unfit(f"{link['ifname']} has {address['local']}, and the cluster uses all of {NETWORK}",
                            "That network is set aside for tests; take the address away for the time.")
    for route in json.loads(run("ip", "-j", "route") or "[]"):
        if route["dst"] == "default" or route.get("dev") in (NODE_BRIDGE, POD_BRIDGE):
            continue
        if ip_network(route["dst"], strict=False).subnet_of(ours):
            raise Unfit(f"there is a route to {route['dst']}, and the cluster uses all of {NETWORK}",
                        "Take the route away for the time.")


def _kubelets() -> list[int]:
    """Processes of that name that are not ours."""
    ours = {process.pid for process in processes.marked()}
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            named = (entry / "comm").read_text().strip() == "kubelet"
            # One that ended and waits to be reaped has no start time any more.
            if named and int(entry.name) not in ours and processes.start_time(int(entry.name)):
                found.append(int(entry.name))
        except OSError:
            pass
    return found


def _check_foreign() -> None:
    """Another Kubernetes on the machine; what a killed cluster of ours left is no reason to refuse."""
    if _kubelets():
        raise Unfit(f"another kubelet runs here (pid {_kubelets()[0]})", "One cluster a machine: stop it first.")
    for name in os.listdir("/sys/class/net"):
        if FOREIGN_LINKS.match(name):
            raise Unfit(f"there is a network link '{name}' of another cluster",
                        "One cluster a machine: remove it first.")
    if (STATE / "sysctl.json").exists():
        return
    signs = [f"control group {path}" for path in leftovers.pod_cgroups()]
    signs += [f"{program} chains of Kubernetes" for program in leftovers.TABLES if leftovers.our_rules(program)]
    if KUBELET_ROOT.exists() and not is_mounted(KUBELET_ROOT) and os.listdir(KUBELET_ROOT):
        signs.append(f"a folder {KUBELET_ROOT} that is not empty")
    if signs:
        raise Unfit(f"another Kubernetes left its traces here: {'; '.join(signs)}",
                    "Clean up after it; the cluster could not tell them from its own.")


def check(building: bool) -> None:
    check_machine(building)
    _check_kernel()
    _check_foreign()
    _check_addresses()
    _check_ports()
    if is_mounted(VOLUMES) and not (STATE / "volumes.img").exists():
        raise Unfit(f"something else is mounted at {VOLUMES}", "Unmount it first.")
