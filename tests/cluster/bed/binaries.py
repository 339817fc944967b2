"""The programs of the cluster in the cache: an entry for each module, named by a hash of all that goes into it."""

import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Callable

from . import golang
from .console import Trouble
from .programs import MODULES, SNAPSHOT_CLIENT, VERSIONS, Module, program_names
from .settings import cache
from .settings import MODULES as SOURCES

KEPT_ENTRIES = 2


def _check_pins(module: Module) -> None:
    """versions.env and go.mod must name the same versions: images and messages come from one, code from the other."""
    text = (SOURCES / module.name / "go.mod").read_text()
    for path, version in module.pins.items():
        if not re.search(rf"^\s*(require )?{re.escape(path)} {re.escape(version)}\b", text, re.MULTILINE):
            raise Trouble(f"versions.env says {path} {version}, modules/{module.name}/go.mod does not",
                          "Change both, run 'go mod tidy' in that folder and commit go.sum too.")


def _key(module: Module) -> str:
    digest = hashlib.sha256(repr((module.packages, sorted(module.definitions.items()), VERSIONS["GO"])).encode())
    folder = SOURCES / module.name
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (path.suffix in (".mod", ".sum", ".go")):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def folder_of(module: Module) -> Path:
    return cache() / "programs" / f"{module.name}-{_key(module)}"


def missing() -> list[Module]:
    return [module for module in MODULES if not folder_of(module).is_dir()]


def all_programs() -> dict[str, Path]:
    return {name: folder_of(module) / name for module in MODULES for name in program_names(module)}


def program(name: str) -> Path:
    """The path of a built program, say program('velero')."""
    path = all_programs()[name]
    if not path.exists():
        raise Trouble(f"{name} is not built", "Run 'tools/dev cluster build'.")
    return path


def snapshot_resources() -> Path:
    """The folder of the custom resources of CSI snapshots."""
    return folder_of(next(module for module in MODULES if module.name == "csi")) / "resources"


def _copy_snapshot_resources(go: str, module: Module, out: Path) -> None:
    source = golang.module_folder(go, SOURCES / module.name, SNAPSHOT_CLIENT) / "config" / "crd"
    out.mkdir()
    for path in sorted(source.glob("*snapshot.storage.k8s.io_*.yaml")):
        shutil.copyfile(path, out / path.name)
    if not list(out.iterdir()):
        raise Trouble(f"no custom resources in {source}", "Has the module moved them? See bed/binaries.py.")


def _remove_old(module: Module) -> None:
    entries = sorted((cache() / "programs").glob(f"{module.name}-*"), key=os.path.getmtime, reverse=True)
    for entry in entries[KEPT_ENTRIES:]:
        shutil.rmtree(entry, ignore_errors=True)


def build(module: Module, go: str) -> None:
    """Builds into a folder of its own and puts that in place at the end, so that an entry is there whole or not."""
    _check_pins(module)
    target = folder_of(module)
    part = target.with_name(f"part-{module.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    golang.build(go, module.name, SOURCES / module.name, module.definitions, module.packages, part)
    if module.name == "csi":
        _copy_snapshot_resources(go, module, part / "resources")
    absent = [name for name in program_names(module) if not (part / name).exists()]
    if absent:
        raise Trouble(f"go built {module.name} without {', '.join(absent)}")
    part.rename(target)
    _remove_old(module)


def build_missing(announce: Callable) -> None:
    absent = missing()
    if not absent:
        return
    go = golang.find_go()
    golang.fetch(go, [(SOURCES / module.name, module.packages) for module in absent[1:]])
    for module in absent:
        with announce(f"building {module.name}"):
            build(module, go)
