"""Names, addresses and places of the cluster, each once."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
MODULES = HERE / "modules"

STATE = Path("/var/tmp/salvor-cluster")
RUN = STATE / "run"
LOGS = STATE / "logs"
PKI = STATE / "pki"
CONFIGURATION = STATE / "etc"
ETCD_DATA = STATE / "etcd"
S3_DATA = STATE / "s3"
S3_VERSIONS = STATE / "s3-versions"
VOLUMES = STATE / "volumes"
VOLUMES_IMAGE = STATE / "volumes.img"
KUBELET_DATA = STATE / "kubelet"
POD_LOGS = STATE / "pod-logs"
CONTAINERD_ROOT = STATE / "containerd"
CONTAINERD_STATE = RUN / "containerd"
CONTAINERD_SOCKET = RUN / "containerd.sock"
KUBECONFIG = STATE / "kubeconfig"
# Velero's node-agent and every CSI driver expect the kubelet here; it is STATE's, bound.
KUBELET_ROOT = Path("/var/lib/kubelet")

# Every process of ours carries this variable, so that one whose record was lost is still found.
MARKER = "SALVOR_CLUSTER"

NODE = "salvor-node"
NODE_BRIDGE = "salvor-node"
POD_BRIDGE = "salvor-pods"
# 198.18.0.0/15 is set aside for tests of networks: neither public nor anybody's private network.
NETWORK = "198.18.0.0/15"
NODE_ADDRESS = "198.18.0.1"
PODS = "198.18.16.0/20"
SERVICES = "198.19.0.0/16"
API_SERVICE = "198.19.0.1"
API = f"https://{NODE_ADDRESS}:6443"
DNS_DOMAIN = "cluster.local"

S3_PORT = 8333
S3_REGION = "test"
S3_ENDPOINT = f"http://{NODE_ADDRESS}:{S3_PORT}"
VELERO_BUCKET = "velero"

CSI_DRIVER = "csi.salvor.test"
CSI_SOCKET = KUBELET_ROOT / "plugins" / CSI_DRIVER / "csi.sock"
CSI_REGISTRATION = KUBELET_ROOT / "plugins_registry" / f"{CSI_DRIVER}-reg.sock"
STORAGE_CLASS = "salvor-csi"
VOLUMES_BYTES = 16 << 30


def cache() -> Path:
    """The folder of built programs and images: outside the checkout, shared by all checkouts."""
    base = os.environ.get("SALVOR_CACHE")
    if not base:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "salvor")
    return Path(base) / "cluster"


def versions() -> dict[str, str]:
    """versions.env as a dictionary."""
    lines = (HERE / "versions.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
