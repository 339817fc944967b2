"""Traces of a cluster on the machine, looked for without the bed's own means, which are what is judged."""

import re
import subprocess
from pathlib import Path

STATE, KUBELET = "/var/tmp/salvor-cluster", "/var/lib/kubelet"
MARK = f"SALVOR_CLUSTER={STATE}".encode()
# Names that kube-proxy and the kubelet give, network plugins, and the enforcer of network policies.
NAMES = re.compile(r"KUBE-|CNI-|SALVOR-")
# The network that is the cluster's alone.
ADDRESSES = re.compile(r"\b198\.1[89]\.")
FILES = ("/run/netns/cni-*", "/run/containerd/*/k8s.io", "/var/lib/cni/results/salvor-*", KUBELET,
         "/sys/fs/cgroup/kubepods", "/sys/fs/cgroup/*/kubepods")


def _lines(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.splitlines()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _processes() -> list[str]:
    """By the variable that each of ours carries, by a pod's control group, or as the keeper of a pod's container."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        command = _read(entry / "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
        keeper = command.startswith("/usr/bin/containerd-shim") and STATE in command
        marked = MARK in _read(entry / "environ").split(b"\0")
        if command and (keeper or marked or b"/kubepods" in _read(entry / "cgroup")):
            found.append(f"process {entry.name}: {command[:100]}")
    return found


def _mounts() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [f"mount {line.split()[4]}" for line in lines if STATE in line or f" {KUBELET}" in line]


def _firewall() -> list[str]:
    saved = [line for program in ("iptables-save", "ip6tables-save") for line in _lines(program)]
    sets = _lines("ipset", "list", "-name")
    return ([f"rule {line}" for line in saved if NAMES.search(line) or ADDRESSES.search(line)]
            + [f"set {name}" for name in sets if NAMES.match(name)])


def _network() -> list[str]:
    links = [line for line in _lines("ip", "-o", "link") if "salvor-" in line]
    lines = _lines("ip", "-o", "addr") + _lines("ip", "route") + _lines("ss", "-Hltun")
    return [f"network {line}" for line in links + [line for line in lines if ADDRESSES.search(line)]]


def _files() -> list[str]:
    loops = [f"loop device {line}" for line in _lines("losetup", "-a") if STATE in line]
    return loops + [f"file {path}" for pattern in FILES for path in Path("/").glob(pattern.lstrip("/"))]


def all_traces() -> list[str]:
    return [*_processes(), *_mounts(), *_firewall(), *_network(), *_files()]


def pod_links() -> set[str]:
    """The node's ends of the pods' network."""
    lines = [line.split() for line in _lines("ip", "-o", "link")]
    return {words[1].partition("@")[0] for words in lines if "salvor-pods" in words[2:]}


def links() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


def sysctls(names: list[str]) -> dict[str, str]:
    return {name: Path("/proc/sys", name.replace(".", "/")).read_text().strip() for name in names}
