"""Removes what a cluster leaves in the kernel and outside its folder: firewall rules, bridges, control groups, the
processes of pods. Only what is ours by its name or place; before a start the checks refuse when such names are there
already."""

import os
import re
import signal
import time
from pathlib import Path

from . import processes
from .commands import run, succeeds
from .configuration import NETWORK_NAME
from .probes import is_ready
from .settings import NODE_BRIDGE, POD_BRIDGE, STATE

CGROUPS = Path("/sys/fs/cgroup")
# kube-proxy and kubelet, network plugins, our enforcer of network policies.
OUR_CHAIN = re.compile(r"(KUBE|CNI|SALVOR)-")
CNI_RESULTS = Path("/var/lib/cni/results")
SHIM_SOCKETS = Path("/run/containerd/s")
TABLES = ("iptables", "ip6tables")
POD_GRACE = 1.5


def pod_cgroups() -> list[Path]:
    """kubepods in each hierarchy of version 1, or in the one of version 2."""
    candidates = [CGROUPS / "kubepods", *(path / "kubepods" for path in CGROUPS.glob("*"))]
    return [path for path in candidates if path.is_dir() and not path.parent.is_symlink()]


def pod_processes() -> list[processes.Process]:
    """Whoever runs in a pod is found by the control group."""
    pids = set()
    for root in pod_cgroups():
        for file in root.rglob("cgroup.procs"):
            try:
                pids.update(int(pid) for pid in file.read_text().split())
            except OSError:
                pass
    found = [processes.Process("", pid, processes.start_time(pid)) for pid in pids if pid]
    return [process for process in found if process.start]


def stop_pods() -> None:
    processes.stop(pod_processes(), POD_GRACE, signal.SIGTERM)


def remove_cgroups() -> list[Path]:
    """A group goes when its last process was reaped, which may take a moment."""
    end = time.monotonic() + 3
    while pod_cgroups() and time.monotonic() < end:
        for root in pod_cgroups():
            for folder, _, _ in os.walk(root, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass
        time.sleep(0.05)
    return pod_cgroups()


def our_rules(program: str) -> list[str]:
    return [line for line in _saved(program) if OUR_CHAIN.search(line)]


def _saved(program: str) -> list[str]:
    return run(f"{program}-save", check=False).splitlines()


def _removal(saved: list[str]) -> str:
    """The lines that take our chains, and the rules that lead to them, out of a saved table, and touch nothing else."""
    script, chains = [], []
    for line in saved:
        if line.startswith("*"):
            script.append(line)
            chains = []
        elif line.startswith(":") and OUR_CHAIN.match(line[1:]):
            chains.append(line[1:].split()[0])
            script.append(f":{chains[-1]} - [0:0]")  # declaring it again empties it
        elif line.startswith("-A ") and not OUR_CHAIN.match(line[3:]) and OUR_CHAIN.search(line):
            script.append("-D " + line[3:])
        elif line == "COMMIT":
            script += [f"-X {chain}" for chain in chains] + [line]
    return "\n".join(script) + "\n"


def remove_rules() -> list[str]:
    left = []
    for program in TABLES:
        if our_rules(program):
            run(f"{program}-restore", "--noflush", input=_removal(_saved(program)), check=False)
        left += our_rules(program)
    return left


def our_sets() -> list[str]:
    """The sets of ipset, which the enforcer of network policies uses."""
    return [name for name in run("ipset", "list", "-n", check=False).split() if OUR_CHAIN.match(name)]


def remove_sets() -> None:
    """The kernel lets go of a set a moment after the last rule that named it."""
    end = time.monotonic() + 3
    while our_sets() and time.monotonic() < end:
        for name in our_sets():
            succeeds("ipset", "destroy", name)
        time.sleep(0.02)


def remove_links() -> None:
    for link in (POD_BRIDGE, NODE_BRIDGE):
        if succeeds("ip", "link", "show", link):
            run("ip", "link", "delete", link)


def _dead_shim_sockets() -> list[Path]:
    """containerd's shims have one folder for the whole machine, and one that was killed leaves its socket. A socket at
    which nobody listens belongs to nobody."""
    return [path for path in SHIM_SOCKETS.glob("*") if path.is_socket() and not is_ready(f"socket {path}")]


def _remove_if_empty(*folders: str | Path) -> None:
    for folder in folders:
        try:
            os.rmdir(folder)
        except OSError:
            pass


def _network_results() -> list[Path]:
    """The notes of network plugins about our pods, and about the loopback device of the same ones."""
    found = list(CNI_RESULTS.glob(f"{NETWORK_NAME}-*-eth0"))
    pods = [path.name.removeprefix(f"{NETWORK_NAME}-").removesuffix("-eth0") for path in found]
    return found + [CNI_RESULTS / f"cni-loopback-{pod}-lo" for pod in pods]


def remove_files() -> None:
    """Outside our folder: sockets of shims, results of network plugins, links to the logs of pods."""
    for path in _dead_shim_sockets() + _network_results():
        path.unlink(missing_ok=True)
    for path in Path("/var/log/containers").glob("*.log"):
        if path.is_symlink() and os.readlink(path).startswith(f"{STATE}/"):
            path.unlink(missing_ok=True)
    _remove_if_empty(SHIM_SOCKETS, "/run/containerd/fifo", "/run/containerd/runc/k8s.io", "/run/containerd/runc",
                     "/run/containerd", CNI_RESULTS, CNI_RESULTS.parent, "/var/log/containers")
