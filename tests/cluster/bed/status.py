"""Says what runs, how it is, and where to look when it is not well."""

import json
from dataclasses import asdict, dataclass

from . import binaries, host, leftovers, objects, processes
from .components import Component, table
from .probes import get, is_ready
from .programs import VERSIONS
from .settings import NODE, STATE, VOLUMES


@dataclass
class Row:
    name: str
    state: str  # ok, down, unready, changed
    version: str
    pid: int
    memory: int
    detail: str
    log: str

    def is_well(self) -> bool:
        return self.state == "ok"


def _component(component: Component) -> Row:
    process = processes.find(component.name)
    log = str(processes.log_file(component.name))
    if process is None:
        return Row(component.name, "down", component.version, 0, 0, "does not run; 'up' starts it", log)
    state, detail = "ok", ""
    if not is_ready(component.ready):
        state, detail = "unready", f"runs, but does not answer at {component.ready.removeprefix('socket ')}"
    elif process.fingerprint != component.fingerprint():
        state, detail = "changed", "runs with other flags than this checkout's; 'up' starts it anew"
    return Row(component.name, state, component.version, process.pid, processes.memory(process.pid), detail, log)


def _thing(name: str, version: str, well: bool, detail: str, log: str) -> Row:
    return Row(name, "ok" if well else "unready", version, 0, 0, "" if well else detail, log)


def _cluster() -> list[Row]:
    """The parts that are no processes of the machine: the node, Velero's pods, the kernel's side."""
    kubectl = "tools/dev cluster kubectl"
    phase = objects.location_phase()
    mounted = host.is_mounted(VOLUMES)
    pods = sum(processes.memory(process.pid) for process in leftovers.pod_processes())
    rows = [
        _thing("volumes (btrfs)", "", mounted, f"not mounted at {VOLUMES}; 'up' mounts it", ""),
        _thing(f"node {NODE}", VERSIONS["KUBERNETES"], objects.node_is_ready(), "not Ready",
               f"{kubectl} describe node"),
        _thing("snapshot resources", VERSIONS["CSI_SNAPSHOTTER"], get(objects.SNAPSHOTS) is not None, "not installed",
               ""),
        _thing("velero", VERSIONS["VELERO"], objects.deployment_is_ready(), "its deployment is not available",
               f"{kubectl} -n velero logs deploy/velero"),
        _thing("node-agent", VERSIONS["VELERO"], objects.node_agent_is_ready(), "its pod is not ready",
               f"{kubectl} -n velero logs ds/node-agent"),
        _thing("storage location", "", phase == "Available", f"its phase is '{phase or 'unknown'}'",
               f"{kubectl} -n velero logs deploy/velero"),
    ]
    rows.append(Row("all pods", "ok", "", 0, pods, "", ""))
    return rows


def rows() -> list[Row]:
    if binaries.missing():
        return [Row("programs", "down", "", 0, 0, "not built; 'up' builds them", "")]
    return [_component(component) for component in table()] + _cluster()


def _print(found: list[Row]) -> None:
    print(f"{'NAME':<26}{'STATE':<9}{'VERSION':<10}{'PID':>8}{'MiB':>7}")
    for row in found:
        memory = f"{row.memory / (1 << 20):.0f}" if row.memory else ""
        print(f"{row.name:<26}{row.state:<9}{row.version:<10}{row.pid or '':>8}{memory:>7}")
        if not row.is_well():
            print(f"    {row.detail}" + (f"\n    see {row.log}" if row.log else ""))
    total = sum(row.memory for row in found) / (1 << 20)
    bad = [row.name for row in found if not row.is_well()]
    print(f"memory: {total:.0f} MiB (resident, shared pages counted each time)")
    print(f"not well: {', '.join(bad)}" if bad else f"all is well; state and logs are in {STATE}")


def show(as_json: bool) -> int:
    if not (STATE / "versions.env").exists():
        nothing = json.dumps({"well": False, "components": []})
        print(nothing if as_json else "no cluster; 'tools/dev cluster up' makes one")
        return 1
    found = rows()
    well = all(row.is_well() for row in found)
    if as_json:
        print(json.dumps({"well": well, "components": [asdict(row) for row in found]}, indent=1))
    else:
        _print(found)
    return 0 if well else 1
