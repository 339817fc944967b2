"""The image archives that belong to this checkout. Asking Debian for versions takes seconds, so what was built once is
remembered under a hash of the recipes; packages that Debian replaced since make no new image by themselves."""

import hashlib
import json
from pathlib import Path

from . import binaries, images
from .programs import MODULES
from .settings import HERE, cache

CODE = ("archives.py", "debian_packages.py", "image_recipes.py", "images.py", "mkimage.py")
# How many checkouts' sets of images the cache holds.
KEPT = 3


def _programs() -> Path:
    """The folder of the programs that go into images."""
    return binaries.folder_of(next(module for module in MODULES if module.name == "velero"))


def _memory() -> Path:
    files = sorted(path for path in (HERE / "images").rglob("*") if path.is_file())
    files += [HERE / "bed" / name for name in CODE] + [HERE / "versions.env"]
    digest = hashlib.sha256(_programs().name.encode())
    for path in files:
        digest.update(f"{path.relative_to(HERE)} {path.stat().st_mode:o}\0".encode() + path.read_bytes())
    return cache() / "images" / f"complete-{digest.hexdigest()[:24]}.json"


def known() -> dict[str, Path]:
    """Archives by name; empty when one of them has to be built."""
    try:
        archives = {name: Path(path) for name, path in json.loads(_memory().read_text()).items()}
    except (OSError, ValueError):
        return {}
    return archives if all(path.exists() for path in archives.values()) else {}


def _archives_of(memory: Path) -> set[Path]:
    return {Path(path) for path in json.loads(memory.read_text()).values()}


def _remove_old() -> None:
    """Archives that only older checkouts want: each change of a recipe would leave some hundred megabytes."""
    folder = cache() / "images"
    memories = sorted(folder.glob("complete-*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    wanted = set().union(*(_archives_of(memory) for memory in memories[:KEPT]))
    for memory in memories[KEPT:]:
        memory.unlink()
    for archive in folder.glob("*.tar"):
        if archive not in wanted:
            archive.unlink()


def build() -> None:
    archives = images.build_all(cache(), _programs(), lambda text: print(f"          {text}", flush=True))
    _memory().write_text(json.dumps({name: str(path) for name, path in archives.items()}, indent=1))
    _remove_old()
