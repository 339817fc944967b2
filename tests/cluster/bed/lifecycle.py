"""up, down and reset: short functions over the table of components."""

import fcntl
import os
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from . import archives as image_archives
from . import binaries, certificates, checks, configuration, containers, host, leftovers, objects, processes, s3
from .components import Component, table
from .console import Steps, Trouble, say, wait_for
from .images import image_names
from .probes import is_ready
from .settings import (CONTAINERD_STATE, ETCD_DATA, HERE, KUBECONFIG, KUBELET_DATA, LOGS, POD_LOGS, RUN, S3_DATA,
                       S3_VERSIONS, STATE, VELERO_BUCKET, VOLUMES_IMAGE, cache)

USED_VERSIONS = STATE / "versions.env"
VOLATILE = (CONTAINERD_STATE, RUN / "runc", RUN / "pod-addresses")
# A step takes so long when nothing is known of it yet.
GUESSES = {"checks": 0.3, "kernel, certificates, configuration": 1, "control plane, S3, containerd": 4,
           "images of pod sandbox and Velero": 4, "node, proxy, name server, snapshots": 5, "node Ready": 1,
           "Velero and its storage location": 8, "images for tests": 6}
START_SECONDS = 60
ROUNDS = 3


@contextmanager
def exclusively() -> Iterator[None]:
    """Only one of us changes the cluster at a time."""
    STATE.mkdir(mode=0o711, parents=True, exist_ok=True)
    with open(STATE / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Trouble("another 'tools/dev cluster' is at work here", "Wait for its end and try again.") from None
        yield


def runs(component: Component) -> bool:
    """Running as it would be started now: after a change of its flags or its program it is started anew."""
    process = processes.find(component.name)
    return process is not None and process.fingerprint == component.fingerprint()


def is_whole() -> bool:
    """Everything runs and answers, and the images are this checkout's: then up has nothing to do."""
    archives = image_archives.known()
    return (all(runs(component) and is_ready(component.ready) for component in table())
            and bool(archives) and containers.are_loaded(archives) and objects.node_is_ready()
            and objects.deployment_is_ready() and objects.node_agent_is_ready()
            and objects.location_phase() == "Available")


def _wait_until_ready(component: Component) -> None:
    hint = f"See {processes.log_file(component.name)} ('tools/dev cluster logs {component.name}')."
    wait_for(f"{component.name} to be ready", lambda: is_ready(component.ready), START_SECONDS, hint,
             lambda: processes.find(component.name) is not None)


def start(components: list[Component], everyone: dict[str, Component]) -> None:
    """Starts those that do not run, each when what it needs is ready, and waits until all are."""
    for component in components:
        if runs(component):
            continue
        for need in component.needs:
            _wait_until_ready(everyone[need])
        stale = processes.find(component.name)
        if stale:
            processes.stop([stale], 5, signal.SIGKILL if component.kill else signal.SIGTERM)
        processes.start(component.name, list(component.argv), component.environment, component.fingerprint())
    for component in components:
        _wait_until_ready(component)


def _forget_last_boot() -> None:
    """The notes of containerd and the network plugins about tasks and addresses end with the boot."""
    noted = RUN / "boot"
    if noted.exists() and noted.read_text() == processes.boot():
        return
    for folder in VOLATILE:
        shutil.rmtree(folder, ignore_errors=True)
    noted.write_text(processes.boot())


def _make_folders() -> None:
    for folder in (RUN, LOGS, ETCD_DATA, S3_DATA, S3_VERSIONS, POD_LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    ETCD_DATA.chmod(0o700)
    RUN.chmod(0o711)
    _forget_last_boot()


def _check_versions() -> None:
    """Data of one version is not given to programs of another by the way."""
    wanted = (HERE / "versions.env").read_text()
    if not USED_VERSIONS.exists():
        USED_VERSIONS.write_text(wanted)
    elif USED_VERSIONS.read_text() != wanted:
        raise Trouble(f"the cluster in {STATE} was made with other versions than this checkout's",
                      "'tools/dev cluster reset' makes a fresh one (its data is lost).")


def build(steps: Steps) -> dict[str, Path]:
    """Programs and images that the cache lacks; gives the images' archives."""
    binaries.build_missing(steps.step)
    if not image_archives.known():
        with steps.step("building images"):
            image_archives.build()
    return image_archives.known()


def _kind() -> str:
    """Starts of different kinds take different times, and each is remembered for itself."""
    if any(processes.find(component.name) for component in table()):
        return "mending"
    return "kept" if (ETCD_DATA / "member").exists() else "fresh"


def plan(more: dict[str, float]) -> Steps:
    work = {f"building {module.name}": module.seconds for module in binaries.missing()}
    if not image_archives.known():
        work["building images"] = 150
    return Steps(cache() / f"durations-{_kind()}.json", {**work, **more})


def _bring_up(steps: Steps, archives: dict[str, Path]) -> None:
    with steps.step("kernel, certificates, configuration"):
        fresh = not (ETCD_DATA / "member").exists()
        _make_folders()
        host.prepare()
        certificates.make()
        configuration.write_all(image_names()["pause"])
    everyone = {component.name: component for component in table()}
    first = [everyone[name] for name in ("s3", "etcd", "containerd", "kube-apiserver", "csi-btrfs")]
    rest = [component for component in everyone.values() if component not in first]
    with steps.step("control plane, S3, containerd"):
        start(first, everyone)
        s3.make_bucket(configuration.s3_access(), VELERO_BUCKET)
    with steps.step("images of pod sandbox and Velero"):
        if fresh:
            containers.remove_all()
        containers.load({name: archives[name] for name in containers.NEEDED})
    with steps.step("node, proxy, name server, snapshots"):
        objects.apply_base()
        start(rest, everyone)
    with steps.step("node Ready"):
        objects.wait_for_node()
    with steps.step("Velero and its storage location"):
        objects.install_velero(image_names()["velero"], image_names()["velero-plugin-aws"])
        objects.wait_for_velero()
    with steps.step("images for tests"):
        containers.load(archives)
    _settle(everyone)


def _settle(everyone: dict[str, Component]) -> None:
    """One that hung on another which was replaced may have ended meanwhile, as the CSI sidecars do."""
    for _ in range(ROUNDS):
        if all(runs(component) for component in everyone.values()):
            return
        start(list(everyone.values()), everyone)
    gone = [name for name, component in everyone.items() if not runs(component)]
    raise Trouble(f"does not stay up: {', '.join(gone)}", "'tools/dev cluster status' names the logs.")


def usage() -> str:
    return f"""
  export KUBECONFIG={KUBECONFIG}
  tools/dev cluster kubectl get pods -A       kubectl of the cluster's version
  tools/dev cluster velero backup get         the velero command
  tools/dev cluster status                    every component; 'logs NAME' shows its log
  tools/dev cluster down                      stops it; 'up' brings it back with its data
  storage class {objects.STORAGE_CLASS} (with snapshots); S3: {configuration.S3_FILE}
  images: 'tools/dev cluster image' lists them"""


def up() -> None:
    with exclusively():
        if configuration.S3_FILE.exists() and USED_VERSIONS.exists():
            _check_versions()
            # The files are written anew, so that a process that reads another checkout's files is seen to be outdated.
            configuration.write_all(image_names()["pause"])
            if is_whole():
                say("the cluster is up" + usage())
                return
        steps = plan(GUESSES)
        with steps.step("checks"):
            checks.check(building=bool(binaries.missing()))
        archives = build(steps)
        _check_versions()
        _bring_up(steps, archives)
        steps.remember()
        say(f"the cluster is up after {steps.elapsed():.1f} s" + usage())


def build_only() -> None:
    checks.check_machine(building=bool(binaries.missing()))
    steps = plan({})
    build(steps)
    steps.remember()
    say(f"programs and images are in {cache()}")


def _stop_everything() -> None:
    """First who would start others again, then pods, then whoever is left, also those whose record was lost."""
    running = {component.name: processes.find(component.name) for component in table()}
    keepers = ("containerd", "etcd", "s3", "csi-btrfs")
    for component in table():
        if component.kill and running[component.name]:
            processes.send(running[component.name], signal.SIGKILL)
    processes.stop([process for name, process in running.items() if process and name not in keepers], 3)
    leftovers.stop_pods()
    processes.stop([running[name] for name in keepers if running[name]], 3)
    processes.stop(processes.marked(), 1)
    for name in running:
        processes.forget(name)


def _clean_kernel() -> None:
    leftovers.remove_rules()
    leftovers.remove_sets()
    host.unmount_all()
    leftovers.remove_links()
    leftovers.remove_cgroups()
    leftovers.remove_files()
    host.restore_sysctls()
    for folder in VOLATILE:
        shutil.rmtree(folder, ignore_errors=True)


def what_stayed() -> list[str]:
    """The things that `down` should have removed and did not."""
    stayed = [f"process {process.pid}" for process in [*processes.marked(), *leftovers.pod_processes()]]
    stayed += [f"mount {point}" for point in host.our_mounts()]
    stayed += [f"control group {path}" for path in leftovers.pod_cgroups()]
    stayed += [f"{program} rule {rule}" for program in leftovers.TABLES for rule in leftovers.our_rules(program)]
    stayed += [f"ipset {name}" for name in leftovers.our_sets()]
    stayed += [f"link {link}" for link in (leftovers.POD_BRIDGE, leftovers.NODE_BRIDGE)
               if os.path.exists(f"/sys/class/net/{link}")]
    return stayed


def _down() -> None:
    _stop_everything()
    _clean_kernel()
    stayed = what_stayed()
    if stayed:
        raise Trouble("this stayed behind:\n    " + "\n    ".join(stayed[:20]), "Run 'down' again.")


def _remove_data() -> None:
    """All but the image store, which is as good as a cache, and the logs."""
    for path in (ETCD_DATA, S3_DATA, S3_VERSIONS, KUBELET_DATA, POD_LOGS, certificates.PKI):
        shutil.rmtree(path, ignore_errors=True)
    for path in (VOLUMES_IMAGE, KUBECONFIG, configuration.S3_FILE, USED_VERSIONS):
        path.unlink(missing_ok=True)


def down(purge: bool = False) -> None:
    if not STATE.exists():
        say("no cluster here")
        return
    with exclusively():
        steps = Steps(Path(os.devnull), {"stopping": 4})
        with steps.step("stopping"):
            _down()
        if purge:
            shutil.rmtree(STATE)
        say("the cluster is down; " + ("nothing of it is left but the cache" if purge else "its data is kept"))


def reset() -> None:
    """Builds first: what cannot be built is no reason to lose what there is."""
    checks.check_machine(building=bool(binaries.missing()))
    build(plan({}))
    if STATE.exists():
        with exclusively():
            _down()
            _remove_data()
    up()
