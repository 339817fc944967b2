"""The objects that make the cluster whole: rights of CoreDNS, storage classes, Velero."""

from datetime import datetime
from pathlib import Path

from . import binaries, containers, processes
from .commands import run
from .configuration import VELERO_CREDENTIALS
from .console import Trouble, wait_for
from .probes import condition, get
from .processes import log_file
from .settings import CSI_DRIVER, KUBECONFIG, NODE, S3_ENDPOINT, S3_REGION, STORAGE_CLASS, VELERO_BUCKET

DEPLOYMENT = "/apis/apps/v1/namespaces/velero/deployments/velero"
DAEMON_SET = "/apis/apps/v1/namespaces/velero/daemonsets/node-agent"
LOCATION = "/apis/velero.io/v1/namespaces/velero/backupstoragelocations/default"
SNAPSHOTS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/volumesnapshots.snapshot.storage.k8s.io"

NAME_SERVER = """apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:coredns"}
rules:
- {apiGroups: [""], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "system:coredns"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:coredns"}
subjects: [{kind: User, name: "system:coredns", apiGroup: rbac.authorization.k8s.io}]
"""

STORAGE = f"""apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {{name: {CSI_DRIVER}}}
spec: {{attachRequired: false, podInfoOnMount: false, fsGroupPolicy: File, volumeLifecycleModes: [Persistent]}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: {STORAGE_CLASS}, annotations: {{storageclass.kubernetes.io/is-default-class: "true"}}}}
provisioner: {CSI_DRIVER}
reclaimPolicy: Delete
volumeBindingMode: Immediate
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshotClass
metadata:
  name: {STORAGE_CLASS}
  labels: {{velero.io/csi-volumesnapshot-class: "true"}}
  annotations: {{snapshot.storage.kubernetes.io/is-default-class: "true"}}
driver: {CSI_DRIVER}
deletionPolicy: Delete
"""


def kubectl(*words: str | Path, input: str | None = None, seconds: float = 60) -> str:
    return run(binaries.program("kubectl"), "--kubeconfig", KUBECONFIG, *words, input=input, seconds=seconds)


def apply_base() -> None:
    """The custom resources of snapshots come before Velero, which learns at its start which kinds there are: one that
    did not find them restores empty volumes and says Completed."""
    if get(SNAPSHOTS) and get(f"/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses/{STORAGE_CLASS}"):
        return
    kubectl("apply", "--server-side", "-f", binaries.snapshot_resources(), "-f", "-", input=NAME_SERVER)
    wait_for("the custom resources of snapshots", lambda: condition(get(SNAPSHOTS), "Established") == "True", 20)
    kubectl("apply", "--server-side", "-f", "-", input=STORAGE)


def _signs_of_life() -> list[str]:
    """When the kubelet renewed its lease, and when it last reported the node's state: on its first start it makes the
    lease late, later it reports seldom."""
    lease = get(f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NODE}") or {}
    node = get(f"/api/v1/nodes/{NODE}") or {}
    reports = [each["lastHeartbeatTime"] for each in node.get("status", {}).get("conditions") or []]
    return [time for time in (lease.get("spec", {}).get("renewTime"), *reports) if time]


def node_is_ready() -> bool:
    """The API server remembers an earlier kubelet's word, so the running one must have given a sign of life."""
    kubelet = processes.find("kubelet")
    if not kubelet or condition(get(f"/api/v1/nodes/{NODE}"), "Ready") != "True":
        return False
    # Reports come in whole seconds.
    return any(datetime.fromisoformat(sign).timestamp() >= int(kubelet.began) for sign in _signs_of_life())


def wait_for_node() -> None:
    wait_for("the node to be Ready", node_is_ready, 60, f"See {log_file('kubelet')}.")


def install_velero(image: str, plugin: str) -> None:
    there = get(DEPLOYMENT)
    if there and get(DAEMON_SET) and get(LOCATION):
        found = there["spec"]["template"]["spec"]["containers"][0]["image"]
        if found != image:
            raise Trouble(f"Velero runs from {found}, not {image}", "'tools/dev cluster reset' makes a fresh cluster.")
        return
    location = f"region={S3_REGION},s3ForcePathStyle=true,s3Url={S3_ENDPOINT},checksumAlgorithm="
    done = run(binaries.program("velero"), "--kubeconfig", KUBECONFIG, "install", "--provider", "aws", "--image", image,
               "--plugins", plugin, "--bucket", VELERO_BUCKET, "--secret-file", VELERO_CREDENTIALS,
               "--backup-location-config", location, "--use-volume-snapshots=false", "--use-node-agent",
               "--uploader-type", "kopia", "--features=EnableCSI",
               # A request of half a core would on two cores leave little for what is tested. None at all would become
               # its limit, a whole one.
               "--velero-pod-cpu-request", "10m")
    log_file("velero-install").write_text(done)


def location_phase() -> str:
    return (get(LOCATION) or {}).get("status", {}).get("phase", "")


def _runs(selector: str) -> bool:
    """There is a pod, and containerd runs every container of it: the API server may remember those of before."""
    pods = (get(f"/api/v1/namespaces/velero/pods?labelSelector={selector}") or {}).get("items") or []
    now = containers.running()
    statuses = [status for pod in pods for status in pod["status"].get("containerStatuses", [{}])]
    return bool(statuses) and all(status.get("containerID", "").rpartition("/")[2] in now for status in statuses)


def deployment_is_ready() -> bool:
    return condition(get(DEPLOYMENT), "Available") == "True" and _runs("deploy%3Dvelero")


def node_agent_is_ready() -> bool:
    status = (get(DAEMON_SET) or {}).get("status", {})
    whole = status.get("numberReady", 0) >= 1 and status["numberReady"] == status.get("desiredNumberScheduled")
    return whole and _runs("name%3Dnode-agent")


def wait_for_velero() -> None:
    hint = "See 'tools/dev cluster kubectl -n velero describe pods' and '… logs deploy/velero'."
    wait_for("Velero's server", deployment_is_ready, 90, hint)
    wait_for("Velero's node-agent", node_agent_is_ready, 60, hint)
    wait_for("the backup storage location to be Available", lambda: location_phase() == "Available", 90, hint)
