"""The table of the cluster's processes: what each is called with, what it needs before, how it says it is ready."""

import hashlib
import sys
from dataclasses import dataclass, field
from pathlib import Path

from . import certificates as pki
from .binaries import all_programs
from .configuration import s3_access
from .programs import VERSIONS
from .settings import (CONFIGURATION, CONTAINERD_SOCKET, CSI_DRIVER, CSI_REGISTRATION, CSI_SOCKET, DNS_DOMAIN,
                       ETCD_DATA, HERE, KUBECONFIG, KUBELET_ROOT, NODE, NODE_ADDRESS, PODS, S3_DATA, S3_PORT,
                       S3_REGION, S3_VERSIONS, SERVICES, VOLUMES)


@dataclass(frozen=True)
class Component:
    name: str
    version: str
    argv: tuple[str, ...]
    needs: tuple[str, ...] = ()
    # "socket PATH", a URL that answers 200, or empty: running is enough.
    ready: str = ""
    # Addresses it listens at; they have to be free before anything is started.
    listens: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    # Files whose content belongs to what is running.
    reads: tuple[Path, ...] = ()
    # The API server's orderly end takes many seconds that nothing here needs.
    kill: bool = False

    def fingerprint(self) -> str:
        digest = hashlib.sha256(repr((self.argv, sorted(self.environment.items()))).encode())
        for path in self.reads:
            digest.update(path.read_bytes() if path.exists() else b"")
        return digest.hexdigest()[:16]


def _object_store(programs: dict[str, Path]) -> Component:
    access = s3_access()
    return Component(
        "s3", VERSIONS["VERSITYGW"],
        (str(programs["versitygw"]), "--port", f"{NODE_ADDRESS}:{S3_PORT}", "--region", S3_REGION, "--health",
         "/health", "posix", "--versioning-dir", str(S3_VERSIONS), str(S3_DATA)),
        ready=f"http://{NODE_ADDRESS}:{S3_PORT}/health", listens=(f"{NODE_ADDRESS}:{S3_PORT}",),
        environment={"ROOT_ACCESS_KEY": access.get("access_key", ""), "ROOT_SECRET_KEY": access.get("secret_key", "")})


def _etcd(programs: dict[str, Path]) -> Component:
    client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    return Component(
        "etcd", VERSIONS["ETCD"],
        # etcd runs without fsync: a power cut would lose the cluster, which a reset brings back; starting is seconds
        # faster.
        (str(programs["etcd"]), "--name", NODE, "--data-dir", str(ETCD_DATA), "--listen-client-urls", client,
         "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
         "--initial-cluster", f"{NODE}={peer}", "--unsafe-no-fsync", "--log-level", "warn"),
        ready=f"{client}/readyz", listens=("127.0.0.1:2379", "127.0.0.1:2380"))


def _containerd() -> Component:
    configuration = CONFIGURATION / "containerd.toml"
    return Component("containerd", "Debian", ("/usr/bin/containerd", "--config", str(configuration)),
                     ready=f"socket {CONTAINERD_SOCKET}", reads=(configuration,))


def _api_server(programs: dict[str, Path]) -> Component:
    kubelet = "apiserver-kubelet-client"
    return Component(
        "kube-apiserver", VERSIONS["KUBERNETES"],
        (str(programs["kube-apiserver"]), "--etcd-servers=http://127.0.0.1:2379", f"--bind-address={NODE_ADDRESS}",
         "--secure-port=6443", f"--advertise-address={NODE_ADDRESS}",
         f"--tls-cert-file={pki.certificate('kube-apiserver')}",
         f"--tls-private-key-file={pki.key('kube-apiserver')}", f"--client-ca-file={pki.certificate('ca')}",
         f"--kubelet-client-certificate={pki.certificate(kubelet)}", f"--kubelet-client-key={pki.key(kubelet)}",
         f"--kubelet-certificate-authority={pki.certificate('ca')}", "--kubelet-preferred-address-types=InternalIP",
         f"--service-account-issuer=https://kubernetes.default.svc.{DNS_DOMAIN}",
         f"--service-account-key-file={pki.PKI}/service-account.pub",
         f"--service-account-signing-key-file={pki.key('service-account')}",
         f"--service-cluster-ip-range={SERVICES}", "--authorization-mode=Node,RBAC",
         "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true", "--v=1"),
        needs=("etcd",), ready=f"https://{NODE_ADDRESS}:6443/readyz", listens=(f"{NODE_ADDRESS}:6443",), kill=True)


def _controller_manager(programs: dict[str, Path]) -> Component:
    config = pki.kubeconfig("kube-controller-manager")
    return Component(
        "kube-controller-manager", VERSIONS["KUBERNETES"],
        (str(programs["kube-controller-manager"]), f"--kubeconfig={config}", f"--authentication-kubeconfig={config}",
         f"--authorization-kubeconfig={config}", f"--service-account-private-key-file={pki.key('service-account')}",
         f"--root-ca-file={pki.certificate('ca')}", f"--cluster-signing-cert-file={pki.certificate('ca')}",
         f"--cluster-signing-key-file={pki.key('ca')}", "--use-service-account-credentials=true",
         "--leader-elect=false", "--allocate-node-cidrs=false", f"--cluster-cidr={PODS}", "--bind-address=127.0.0.1",
         "--v=1"),
        needs=("kube-apiserver",), ready="https://127.0.0.1:10257/healthz", listens=("127.0.0.1:10257",))


def _scheduler(programs: dict[str, Path]) -> Component:
    config = pki.kubeconfig("kube-scheduler")
    return Component(
        "kube-scheduler", VERSIONS["KUBERNETES"],
        (str(programs["kube-scheduler"]), f"--kubeconfig={config}", f"--authentication-kubeconfig={config}",
         f"--authorization-kubeconfig={config}", "--leader-elect=false", "--bind-address=127.0.0.1",
         # This keeps the pause of a second: a pod that is tried again without it comes before the cache of claims knows
         # that its claim was bound (two handlers of one event, kubernetes/kubernetes#73216); then it waits five minutes.
         "--feature-gates=SchedulerPopFromBackoffQ=false", "--v=1"),
        needs=("kube-apiserver",), ready="https://127.0.0.1:10259/healthz", listens=("127.0.0.1:10259",))


def _kubelet(programs: dict[str, Path]) -> Component:
    configuration = CONFIGURATION / "kubelet.yaml"
    return Component(
        "kubelet", VERSIONS["KUBERNETES"],
        (str(programs["kubelet"]), f"--config={configuration}", f"--kubeconfig={pki.kubeconfig('kubelet')}",
         f"--hostname-override={NODE}", f"--node-ip={NODE_ADDRESS}", f"--root-dir={KUBELET_ROOT}",
         f"--cert-dir={KUBELET_ROOT}/pki", "--v=2"),
        needs=("kube-apiserver", "containerd"), ready="http://127.0.0.1:10248/healthz",
        listens=("127.0.0.1:10248", f"{NODE_ADDRESS}:10250"), reads=(configuration,))


def _kube_proxy(programs: dict[str, Path]) -> Component:
    configuration = CONFIGURATION / "kube-proxy.yaml"
    return Component(
        "kube-proxy", VERSIONS["KUBERNETES"],
        (str(programs["kube-proxy"]), f"--config={configuration}", "--v=1"),
        needs=("kube-apiserver", "kubelet"), ready="http://127.0.0.1:10256/healthz",
        listens=("127.0.0.1:10249", "127.0.0.1:10256"), reads=(configuration,))


def _coredns(programs: dict[str, Path]) -> Component:
    configuration = CONFIGURATION / "Corefile"
    return Component("coredns", VERSIONS["COREDNS"], (str(programs["coredns"]), "-conf", str(configuration)),
                     needs=("kube-apiserver",), ready="http://127.0.0.1:8181/ready",
                     listens=(f"{NODE_ADDRESS}:53", "127.0.0.1:8181"), reads=(configuration,))


def _csi_driver(programs: dict[str, Path]) -> Component:
    return Component(
        "csi-btrfs", "ours",
        (str(programs["csi-btrfs"]), "-name", CSI_DRIVER, "-node", NODE, "-data", str(VOLUMES), "-socket",
         str(CSI_SOCKET), "-registration", str(CSI_REGISTRATION)),
        ready=f"socket {CSI_SOCKET}")


def _csi_sidecar(programs: dict[str, Path], name: str, version: str, port: int, *options: str) -> Component:
    return Component(
        name, version,
        (str(programs[name]), f"--kubeconfig={KUBECONFIG}", f"--http-endpoint=127.0.0.1:{port}", "--v=2", *options),
        needs=("kube-apiserver", "csi-btrfs"), ready=f"http://127.0.0.1:{port}/metrics",
        listens=(f"127.0.0.1:{port}",))


def _network_policy(programs: dict[str, Path]) -> list[Component]:
    program = HERE / "bed" / "network_policy.py"
    if not program.exists():
        return []
    return [Component(
        "network-policy", "ours",
        (sys.executable, "-m", "bed.network_policy", "--kubeconfig", str(KUBECONFIG), "--kubectl",
         str(programs["kubectl"])),
        needs=("kube-apiserver",), environment={"PYTHONPATH": str(HERE), "PYTHONUNBUFFERED": "1",
                                               "PYTHONDONTWRITEBYTECODE": "1"},
        reads=(program, program.with_name("policy_rules.py")))]


def table() -> list[Component]:
    """All of them, each after what it needs."""
    programs = all_programs()
    csi = f"--csi-address={CSI_SOCKET}"
    return [
        _object_store(programs), _etcd(programs), _containerd(), _api_server(programs), _csi_driver(programs),
        _controller_manager(programs), _scheduler(programs), _kubelet(programs), _kube_proxy(programs),
        _coredns(programs), *_network_policy(programs),
        _csi_sidecar(programs, "snapshot-controller", VERSIONS["CSI_SNAPSHOTTER"], 9810, "--leader-election=false"),
        _csi_sidecar(programs, "csi-snapshotter", VERSIONS["CSI_SNAPSHOTTER"], 9809, "--leader-election=false", csi),
        _csi_sidecar(programs, "csi-provisioner", VERSIONS["CSI_PROVISIONER"], 9808, "--leader-election=false",
                     "--feature-gates=Topology=false", csi),
    ]
