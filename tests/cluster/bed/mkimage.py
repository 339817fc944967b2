"""Writes container images without a container engine: OCI archives for `ctr images import`.

Same input, same digest: entries are sorted by their bytes, times are one fixed time, owners are numbers, nothing is
compressed, and nothing of this machine's names gets in.
"""
from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from .console import Trouble

# 2024-01-01: the time of every entry and of every image. Not 0, which some programs take for "no time".
TIME = 1704067200
CREATED = "2024-01-01T00:00:00Z"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
REFERENCE = re.compile(r"[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class ImageError(Trouble):
    """An image that cannot be made; the text says what to do."""


def check_reference(name: str) -> None:
    if not REFERENCE.fullmatch(name):
        raise ImageError(f"'{name}' is no image name: write REGISTRY/NAME:TAG, in small letters, as salvor.test/shop:1")
    if name.endswith(":latest"):
        raise ImageError(f"'{name}': Kubernetes would pull 'latest' from a registry; choose another tag")


def inside(path: str) -> str:
    """The path as it stands in a layer: relative, without '.' and '..'."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ImageError(f"{path!r} leads out of the image by '..'")
    for part in parts:
        if part.startswith(".wh."):
            raise ImageError(f"{path!r}: names that start with .wh. mean a deletion in an image; rename the file")
    return "/".join(parts)


class Layer:
    """What one layer holds. `below` are the layers under it, whose directories need not be made again."""

    def __init__(self, below: list["Layer"] | None = None) -> None:
        self.below = below or []
        self.entries: dict[str, tuple[tarfile.TarInfo, Path | bytes | None]] = {}

    def add_directory(self, path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        entry = self._entry(path, tarfile.DIRTYPE, mode, uid, gid)
        if entry.name:
            self.entries[entry.name] = (entry, None)

    def add_link(self, target: str, path: str) -> None:
        entry = self._entry(path, tarfile.SYMTYPE, 0o777)
        entry.linkname = target
        self._put(entry, None)

    def add_bytes(self, content: bytes, path: str, mode: int = 0o644, uid: int = 0, gid: int = 0) -> None:
        entry = self._entry(path, tarfile.REGTYPE, mode, uid, gid)
        entry.size = len(content)
        self._put(entry, content)

    def add_file(self, source: Path, path: str, mode: int | None = None, uid: int = 0, gid: int = 0) -> None:
        """Without a mode the source keeps its own."""
        status = source.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{source} is not a file")
        kept = stat.S_IMODE(status.st_mode) if mode is None else mode
        entry = self._entry(path, tarfile.REGTYPE, kept, uid, gid)
        entry.size = status.st_size
        self._put(entry, source)

    def add_tree(self, root: Path, owner: tuple[int, int] | None = None) -> None:
        """Everything below `root` as it is: modes, hard links, devices, capabilities, and owners unless one is given."""
        seen: dict[tuple[int, int], str] = {}
        for path in sorted(_walk(root), key=os.fsencode):
            self._add_from_disk(root, path, owner, seen)

    def add_checkout(self, root: Path) -> None:
        """Files as git keeps them: of a mode only the executable bit, and root owns them."""
        for path in _walk(root):
            source = root / path
            if source.is_symlink():
                self.add_link(os.readlink(source), path)
            elif source.is_file():
                self.add_file(source, path, 0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644)

    def holds(self, path: str) -> bool:
        return path in self.entries or any(layer.holds(path) for layer in self.below)

    def write(self, output: Path) -> str:
        """Writes the layer's tar and returns its digest."""
        with open(output, "wb") as raw:
            hashing = _HashingFile(raw)
            # PAX, since only it carries capabilities, long names and any byte in a name.
            with tarfile.open(fileobj=hashing, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8",  # type: ignore
                              errors="surrogateescape") as archive:
                for name in sorted(self.entries, key=os.fsencode):
                    entry, content = self.entries[name]
                    _add(archive, entry, content)
        return hashing.digest()

    def _entry(self, path: str, kind: bytes, mode: int, uid: int = 0, gid: int = 0) -> tarfile.TarInfo:
        entry = tarfile.TarInfo(inside(path))
        entry.type, entry.mode, entry.uid, entry.gid, entry.mtime = kind, mode, uid, gid, TIME
        return entry

    def _put(self, entry: tarfile.TarInfo, content: Path | bytes | None) -> None:
        if not entry.name:
            raise ImageError("a file needs a path inside the image, not '/'")
        parent = os.path.dirname(entry.name)
        while parent and not self.holds(parent):
            self.add_directory(parent)
            parent = os.path.dirname(parent)
        self.entries[entry.name] = (entry, content)

    def _add_from_disk(self, root: Path, path: str, owner: tuple[int, int] | None,
                       seen: dict[tuple[int, int], str]) -> None:
        source = root / path
        status = source.lstat()
        uid, gid = owner or (status.st_uid, status.st_gid)
        mode, kind = stat.S_IMODE(status.st_mode), stat.S_IFMT(status.st_mode)
        content: Path | None = None
        if kind == stat.S_IFREG:
            first = seen.setdefault((status.st_dev, status.st_ino), path)
            entry = self._entry(path, tarfile.REGTYPE if first == path else tarfile.LNKTYPE, mode, uid, gid)
            if first == path:
                entry.size, content = status.st_size, source
                entry.pax_headers = _capabilities(source)
            else:
                entry.linkname = inside(first)
        elif kind == stat.S_IFDIR:
            entry = self._entry(path, tarfile.DIRTYPE, mode, uid, gid)
        elif kind == stat.S_IFLNK:
            entry = self._entry(path, tarfile.SYMTYPE, 0o777, uid, gid)
            entry.linkname = os.readlink(source)
        elif kind == stat.S_IFIFO:
            entry = self._entry(path, tarfile.FIFOTYPE, mode, uid, gid)
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            entry = self._entry(path, tarfile.CHRTYPE if kind == stat.S_IFCHR else tarfile.BLKTYPE, mode, uid, gid)
            entry.devmajor, entry.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        else:
            raise ImageError(f"{str(source)!r} is a socket, which an image cannot hold; remove it")
        self.entries[entry.name] = (entry, content)


@dataclass
class Blob:
    """A written layer."""
    path: Path
    digest: str


@dataclass
class Image:
    """`config` is the inner OCI "config": Entrypoint, Cmd, Env, User, WorkingDir, StopSignal, ExposedPorts."""
    names: list[str]
    config: dict[str, Any]
    layers: list[Blob] = field(default_factory=list)


def write_image(image: Image, output: Path) -> str:
    """Writes the OCI archive, complete or not at all, and returns the image's digest."""
    for name in image.names:
        check_reference(name)
    digests = ["sha256:" + layer.digest for layer in image.layers]
    config = _json({"architecture": "amd64", "os": "linux", "created": CREATED, "config": image.config,
                    "rootfs": {"type": "layers", "diff_ids": digests},
                    "history": [{"created": CREATED} for _ in digests]})
    layers = [{"mediaType": LAYER_TYPE, "digest": "sha256:" + layer.digest, "size": layer.path.stat().st_size}
              for layer in image.layers]
    manifest = _json({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": layers,
                      "config": {"mediaType": CONFIG_TYPE, "digest": _digest(config), "size": len(config)}})
    index = _json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [
        {"mediaType": MANIFEST_TYPE, "digest": _digest(manifest), "size": len(manifest),
         "platform": {"architecture": "amd64", "os": "linux"},
         "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rsplit(":", 1)[1]}}
        for name in image.names]})
    unfinished = output.with_name(output.name + ".unfinished")
    with tarfile.open(unfinished, "w", format=tarfile.PAX_FORMAT) as archive:
        _add_named(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add_named(archive, "index.json", index)
        for content in (manifest, config):
            _add_named(archive, "blobs/sha256/" + _digest(content).removeprefix("sha256:"), content)
        for layer in {layer.digest: layer for layer in image.layers}.values():
            _add_named(archive, "blobs/sha256/" + layer.digest, layer.path)
    os.replace(unfinished, output)
    return _digest(manifest)


def read_image(archive_path: Path, scratch: Path) -> Image:
    """An image that write_image wrote, to build upon; its layers are unpacked into `scratch`."""
    try:
        with tarfile.open(archive_path) as archive:
            index = json.loads(_content(archive, "index.json"))
            manifest = json.loads(_content(archive, _blob(index["manifests"][0])))
            config = json.loads(_content(archive, _blob(manifest["config"])))
            layers = [_unpack(archive, _blob(layer), scratch) for layer in manifest["layers"]]
    except (tarfile.TarError, KeyError, IndexError, ValueError) as error:
        raise ImageError(f"{archive_path} is no image that 'tools/dev cluster image' wrote: {error}") from error
    names = [entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"]]
    return Image(names, config["config"], layers)


def image_digest(archive_path: Path) -> str:
    with tarfile.open(archive_path) as archive:
        return json.loads(_content(archive, "index.json"))["manifests"][0]["digest"]


def layer_of(blob: Blob) -> Layer:
    """The names of a written layer, for a layer that goes on top of it."""
    layer = Layer()
    with tarfile.open(blob.path) as archive:
        for entry in archive:
            layer.entries[entry.name.strip("/")] = (entry, None)
    return layer


class _HashingFile:
    def __init__(self, raw: BinaryIO) -> None:
        self.raw, self.hash = raw, hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.hash.update(content)
        return self.raw.write(content)

    def tell(self) -> int:
        return self.raw.tell()

    def digest(self) -> str:
        return self.hash.hexdigest()


def _walk(root: Path) -> list[str]:
    """Every path below root, relative to it. Links to directories are links here, not directories."""
    found: list[str] = []
    for folder, directories, files in os.walk(root, onerror=_give_up):
        relative = os.path.relpath(folder, root)
        found += [os.path.normpath(os.path.join(relative, name)) for name in directories + files]
    return found


def _give_up(error: OSError) -> None:
    raise ImageError(f"cannot read {error.filename}: {error.strerror}") from error


def _capabilities(path: Path) -> dict[str, str]:
    """File capabilities are an extended attribute; the others are this machine's own business."""
    try:
        value = os.getxattr(path, "security.capability", follow_symlinks=False)
    except OSError:
        return {}
    return {"SCHILY.xattr.security.capability": value.decode("utf-8", "surrogateescape")}


def _add(archive: tarfile.TarFile, entry: tarfile.TarInfo, content: Path | bytes | None) -> None:
    if isinstance(content, Path):
        with open(content, "rb") as source:
            archive.addfile(entry, source)
    else:
        archive.addfile(entry, io.BytesIO(content) if content is not None else None)


def _add_named(archive: tarfile.TarFile, name: str, content: Path | bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.mtime, entry.mode = TIME, 0o644
    entry.size = content.stat().st_size if isinstance(content, Path) else len(content)
    _add(archive, entry, content)


def _unpack(archive: tarfile.TarFile, name: str, scratch: Path) -> Blob:
    path = scratch / os.path.basename(name)
    path.write_bytes(_content(archive, name))
    return Blob(path, os.path.basename(name))


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    source = archive.extractfile(name)
    if source is None:
        raise KeyError(name)
    return source.read()


def _blob(descriptor: dict[str, Any]) -> str:
    return "blobs/" + descriptor["digest"].replace(":", "/")


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
