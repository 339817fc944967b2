"""containerd's images and containers."""

from pathlib import Path

from .commands import run
from .images import image_names
from .probes import is_ready
from .settings import CONTAINERD_SOCKET

# Nothing starts without these; the rest is for tests.
NEEDED = ("pause", "velero", "velero-plugin-aws")


def ctr(*words: str | Path, check: bool = True, seconds: float = 300) -> str:
    return run("ctr", "-a", CONTAINERD_SOCKET, "-n", "k8s.io", *words, check=check, seconds=seconds)


def _list(kind: str) -> str:
    """Empty when containerd does not run; ctr would wait for it."""
    return ctr(kind, "ls", check=False) if is_ready(f"socket {CONTAINERD_SOCKET}") else ""


def _label(archive: Path) -> str:
    return f"salvor.test/archive={archive.stem}"


def are_loaded(archives: dict[str, Path]) -> bool:
    known = _list("images")
    return all(_label(archive) in known for archive in archives.values())


def load(archives: dict[str, Path]) -> None:
    """Imports those that are not there with the same content: the cache names an archive by what went into it, and a
    label on the image says which archive it came from."""
    known = ctr("images", "ls")
    for name, archive in archives.items():
        if _label(archive) not in known:
            ctr("images", "import", archive)
            ctr("images", "label", image_names()[name], _label(archive))


def running() -> set[str]:
    """Identifiers of the containers that have a running task now, whatever the API server remembers."""
    lines = [line.split() for line in _list("tasks").splitlines()]
    return {words[0] for words in lines if words[-1] == "RUNNING"}


def remove_all() -> None:
    """Containers of a cluster that is no more; the images stay."""
    for container in ctr("containers", "ls", "-q").split():
        ctr("tasks", "delete", "-f", container, check=False)
        ctr("containers", "delete", container, check=False)
