"""The files that the components read."""

import json
import secrets
from pathlib import Path

from . import certificates as pki
from .settings import (API, CONFIGURATION, CONTAINERD_ROOT, CONTAINERD_SOCKET, CONTAINERD_STATE, DNS_DOMAIN, NODE,
                       NODE_ADDRESS, POD_BRIDGE, POD_LOGS, PODS, RUN, S3_ENDPOINT, S3_REGION, SERVICES, STATE,
                       VELERO_BUCKET)

S3_FILE = STATE / "s3.json"
VELERO_CREDENTIALS = CONFIGURATION / "velero-credentials"
NETWORK_NAME = "salvor"


def kubelet() -> str:
    return f"""apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {NODE_ADDRESS}
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {pki.certificate("ca")}}}
authorization: {{mode: Webhook}}
tlsCertFile: {pki.certificate("kubelet-server")}
tlsPrivateKeyFile: {pki.key("kubelet-server")}
containerRuntimeEndpoint: unix://{CONTAINERD_SOCKET}
# There may be no systemd, and both versions of control groups have to do.
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
clusterDomain: {DNS_DOMAIN}
clusterDNS: [{NODE_ADDRESS}]
readOnlyPort: 0
healthzBindAddress: 127.0.0.1
healthzPort: 10248
podLogsDir: {POD_LOGS}
volumePluginDir: {STATE}/volume-plugins
# The machine is shared with other work: pods are not evicted because others use its disk.
evictionHard: {{memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}}
# Images come from no registry, so one that was collected would not come back.
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
nodeStatusUpdateFrequency: 5s
syncFrequency: 10s
maxPods: 60
"""


def kube_proxy() -> str:
    return f"""apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {{kubeconfig: {pki.kubeconfig("kube-proxy")}}}
hostnameOverride: {NODE}
mode: iptables
clusterCIDR: {PODS}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
# The machine's own limits stay as they are.
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
iptables: {{minSyncPeriod: 0s, syncPeriod: 30s}}
"""


def containerd(pause_image: str) -> str:
    return f"""version = 2
root = "{CONTAINERD_ROOT}"
state = "{CONTAINERD_STATE}"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  disable_apparmor = true
  # A machine may deny negative scores; without this every pod would fail there.
  restrict_oom_score_adj = true
  # The state directory holds the mounts so that network namespaces of ours are known by their place.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    discard_unpacked_layers = true
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{RUN}/runc"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{CONFIGURATION}/cni"
    max_conf_num = 1
"""


def pod_network() -> str:
    addresses = {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}],
                 "dataDir": f"{RUN}/pod-addresses"}
    bridge = {"type": "bridge", "bridge": POD_BRIDGE, "isGateway": True, "ipMasq": True, "hairpinMode": True,
              "ipam": addresses}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "1.0.0", "name": NETWORK_NAME, "plugins": [bridge, ports]}, indent=1)


def coredns() -> str:
    return f"""{DNS_DOMAIN}:53 {SERVICES}:53 {{
    bind {NODE_ADDRESS}
    errors
    ready 127.0.0.1:8181
    kubernetes {{
        endpoint {API}
        tls {pki.certificate("coredns")} {pki.key("coredns")} {pki.certificate("ca")}
        pods insecure
        ttl 5
    }}
}}
.:53 {{
    bind {NODE_ADDRESS}
    errors
    cache 30
}}
"""


def make_s3_access() -> None:
    """The secret is made once and kept until a reset."""
    if not S3_FILE.exists():
        access = {"endpoint": S3_ENDPOINT, "region": S3_REGION, "bucket": VELERO_BUCKET, "access_key": "salvor",
                  "secret_key": secrets.token_hex(20)}
        _write(S3_FILE, json.dumps(access, indent=1), 0o600)


def s3_access() -> dict[str, str]:
    """The object store's address, and who may use it; empty before the first start."""
    return json.loads(S3_FILE.read_text()) if S3_FILE.exists() else {}


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=mode)
    path.write_text(text)


def write_all(pause_image: str) -> None:
    _write(CONFIGURATION / "kubelet.yaml", kubelet())
    _write(CONFIGURATION / "kube-proxy.yaml", kube_proxy())
    _write(CONFIGURATION / "containerd.toml", containerd(pause_image))
    _write(CONFIGURATION / "cni" / "10-salvor.conflist", pod_network())
    _write(CONFIGURATION / "Corefile", coredns())
    make_s3_access()
    access = s3_access()
    _write(VELERO_CREDENTIALS, f"[default]\naws_access_key_id={access['access_key']}\n"
                               f"aws_secret_access_key={access['secret_key']}\n", 0o600)
