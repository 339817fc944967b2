"""The programs that are built from each Go module, and their versions. Only data."""

from dataclasses import dataclass

from .settings import versions

VERSIONS = versions()

_KUBERNETES = "k8s.io/kubernetes/cmd"
_CSI = "github.com/kubernetes-csi"
_VELERO = "github.com/vmware-tanzu/velero"


@dataclass(frozen=True)
class Module:
    """A folder of modules/, what is built there, and which of its requirements versions.env names too."""
    name: str
    packages: tuple[str, ...]
    definitions: dict[str, str]
    pins: dict[str, str]
    # A guess for the first time, on two cores.
    seconds: float


def _kubernetes_version() -> dict[str, str]:
    """The values that `make` of Kubernetes stamps into its programs."""
    version = VERSIONS["KUBERNETES"]
    major, minor = version.lstrip("v").split(".")[:2]
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return {f"{package}.{key}": value for package in packages for key, value in stamps.items()}


MODULES = (
    Module(
        name="kubernetes",
        packages=(f"{_KUBERNETES}/kube-apiserver", f"{_KUBERNETES}/kube-controller-manager",
                  f"{_KUBERNETES}/kube-scheduler", f"{_KUBERNETES}/kubelet", f"{_KUBERNETES}/kube-proxy",
                  f"{_KUBERNETES}/kubectl", "./cmd/etcd"),
        definitions=_kubernetes_version(),
        pins={"k8s.io/kubernetes": VERSIONS["KUBERNETES"], "go.etcd.io/etcd/server/v3": VERSIONS["ETCD"]},
        seconds=400,
    ),
    Module(
        name="velero",
        packages=(f"{_VELERO}/cmd/velero", f"{_VELERO}/cmd/velero-restore-helper", f"{_VELERO}/cmd/velero-helper",
                  f"{_VELERO}-plugin-for-aws/velero-plugin-for-aws", f"{_VELERO}-plugin-for-aws/hack/cp-plugin",
                  "./cmd/coredns"),
        definitions={f"{_VELERO}/pkg/buildinfo.Version": VERSIONS["VELERO"],
                     f"{_VELERO}/pkg/buildinfo.GitTreeState": "clean",
                     f"{_VELERO}/pkg/buildinfo.ImageRegistry": "velero"},
        pins={_VELERO: VERSIONS["VELERO"], f"{_VELERO}-plugin-for-aws": VERSIONS["VELERO_PLUGIN_AWS"],
              "github.com/coredns/coredns": VERSIONS["COREDNS"]},
        seconds=200,
    ),
    Module(
        name="csi",
        packages=(f"{_CSI}/external-provisioner/v5/cmd/csi-provisioner",
                  f"{_CSI}/external-snapshotter/v8/cmd/csi-snapshotter",
                  f"{_CSI}/external-snapshotter/v8/cmd/snapshot-controller", "./cmd/csi-btrfs"),
        definitions={},
        pins={f"{_CSI}/external-provisioner/v5": VERSIONS["CSI_PROVISIONER"],
              f"{_CSI}/external-snapshotter/v8": VERSIONS["CSI_SNAPSHOTTER"]},
        seconds=80,
    ),
    Module(
        name="s3",
        packages=("github.com/versity/versitygw/cmd/versitygw",),
        definitions={"main.Version": VERSIONS["VERSITYGW"]},
        pins={"github.com/versity/versitygw": VERSIONS["VERSITYGW"]},
        seconds=50,
    ),
)

# The custom resources of CSI snapshots lie in this module that the csi module requires.
SNAPSHOT_CLIENT = f"{_CSI}/external-snapshotter/client/v8"


def program_names(module: Module) -> list[str]:
    return [package.rpartition("/")[2] for package in module.packages]
