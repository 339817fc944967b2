"""Builds the images of the recipes that are not in the cache."""
from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path
from typing import Iterator

from . import mkimage, settings
from .debian_packages import DebianPackages, Package, Say
from .image_recipes import BASE_PACKAGES, LEFT_OUT, Recipe, recipes
from .mkimage import Blob, Image, ImageError, Layer

HERE = Path(__file__).resolve().parent
CLUSTER = HERE.parent
RECIPES = CLUSTER / "images"
REGISTRY = "salvor.test"
COMPILER = ["gcc", "-static", "-Os", "-s", "-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none"]
COMPILE_LIMIT_SECONDS = 60
LOCK_LIMIT_SECONDS = 900



class Builder:
    """One run of build_all, which holds the cache's lock."""

    def __init__(self, folder: Path, binaries: Path, scratch: Path, say: Say) -> None:
        self.folder, self.binaries, self.scratch, self.say = folder, binaries, scratch, say
        absent = _words(RECIPES / "absent.txt")
        self.debian = DebianPackages(folder / "debian", absent, say)
        self.code = _hash_of([HERE / name for name in ("mkimage.py", "images.py", "image_recipes.py",
                                                       "debian_packages.py")])

    def image(self, recipe: Recipe) -> Path:
        packages = self._packages(recipe)
        key = self._key(recipe, packages)
        output = self.folder / f"{recipe.name}-{key}.tar"
        if output.exists():
            return output
        started = time.monotonic()
        self.say(f"image {recipe.name}: building")
        below = [self._base()] if recipe.on_base else []
        layer = Layer([mkimage.layer_of(blob) for blob in below])
        work = Path(tempfile.mkdtemp(prefix=recipe.name + "-", dir=self.scratch))
        self._fill(layer, recipe, packages, work)
        blob = Blob(work / "layer", layer.write(work / "layer"))
        unpublished = work / "image"
        digest = mkimage.write_image(Image(_names(recipe, packages), recipe.config, below + [blob]), unpublished)
        size = unpublished.stat().st_size
        os.replace(unpublished, output)
        shutil.rmtree(work)
        self.say(f"image {recipe.name}: {size // 1_000_000} MB in {time.monotonic() - started:.1f} s, {digest[:19]}")
        return output

    def _packages(self, recipe: Recipe) -> list[Package]:
        """What goes into the image's own layer."""
        if not recipe.packages:
            return []
        if not recipe.on_base:
            return [package for package in self.debian.resolve(recipe.packages) if package.name in recipe.packages]
        base = self.debian.resolve(BASE_PACKAGES)
        return [package for package in self.debian.resolve(BASE_PACKAGES + recipe.packages) if package not in base]

    def _key(self, recipe: Recipe, packages: list[Package]) -> str:
        inputs = [asdict(recipe), self.code, [package.file for package in packages],
                  _hash_of(_files(RECIPES / recipe.name)),
                  _hash_of([self._binary(name) for name, _ in recipe.binaries])]
        if recipe.on_base:
            inputs.append(self._base_key())
        if recipe.name == "pause":
            inputs.append(_output(["gcc", "--version"]))
        return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:24]

    def _binary(self, name: str) -> Path:
        path = self.binaries / name
        if not path.is_file():
            raise ImageError(f"{path} is missing; build the Go binaries first")
        return path

    def _fill(self, layer: Layer, recipe: Recipe, packages: list[Package], work: Path) -> None:
        if recipe.packages:
            names = BASE_PACKAGES + recipe.packages if recipe.on_base else recipe.packages
            self._refuse_newer(packages, self.debian.download(names))
            root = self._unpacked(packages, recipe.left_out, work)
            if recipe.name == "velero":
                _add_authorities(layer, root)
            else:
                layer.add_tree(root)
            if (root / "usr/bin/busybox").exists():
                for applet in _output([str(root / "usr/bin/busybox"), "--list"]).split():
                    if not layer.holds("usr/bin/" + applet):
                        layer.add_link("busybox", "usr/bin/" + applet)
        if recipe.name == "pause":
            _output([*COMPILER, "-o", str(work / "pause"), str(RECIPES / "pause" / "pause.c")])
            layer.add_file(work / "pause", "pause", 0o755)
        for name, path in recipe.binaries:
            layer.add_file(self._binary(name), path, 0o755)
        if (RECIPES / recipe.name / "root").is_dir():
            layer.add_checkout(RECIPES / recipe.name / "root")
        for path, mode, uid, gid in recipe.directories:
            layer.add_directory(path, mode, uid, gid)

    def _refuse_newer(self, wanted: list[Package], downloaded: list[Package]) -> None:
        """The key was made of the wanted ones; newer ones would be another image under its name."""
        if gone := [package.file for package in wanted if package not in downloaded]:
            raise ImageError(f"Debian has replaced {', '.join(gone)} in the meantime; start again, which takes the new ones")

    def _unpacked(self, packages: list[Package], left_out: list[str], work: Path) -> Path:
        root = work / "root"
        root.mkdir(mode=0o755)
        self.debian.unpack(packages, root)
        _leave_out(root, LEFT_OUT + left_out)
        return root

    def _base_key(self) -> str:
        inputs = [self.code, [package.file for package in self.debian.resolve(BASE_PACKAGES)],
                  _hash_of(_files(RECIPES / "base")), LEFT_OUT]
        return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:24]

    def _base(self) -> Blob:
        output = self.folder / f"base-{self._base_key()}.layer"
        if not output.exists():
            self.say("image base: building what the images of Debian packages share")
            packages = self.debian.resolve(BASE_PACKAGES)
            self._refuse_newer(packages, self.debian.download(BASE_PACKAGES))
            work = Path(tempfile.mkdtemp(prefix="base-", dir=self.scratch))
            layer = Layer()
            layer.add_tree(self._unpacked(packages, [], work))
            # What maintainer scripts would have made.
            layer.add_link("mawk", "usr/bin/awk")
            layer.add_link("which.debianutils", "usr/bin/which")
            layer.add_link("/proc/mounts", "etc/mtab")
            layer.add_link("/run", "var/run")
            layer.add_checkout(RECIPES / "base" / "root")
            layer.write(work / "layer")
            os.replace(work / "layer", output)
            shutil.rmtree(work)
        return Blob(output, _hash_file(output))


def build_all(cache: Path, binaries: Path, say: Say = print) -> dict[str, Path]:
    """Every image's archive by its name; builds what is missing. `binaries` is the folder of the Go programs."""
    if os.geteuid() != 0:
        raise ImageError("building images needs root, for the owners of their files; run it as root")
    folder = cache / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / "lock", say):
        for left in folder.glob("scratch-*"):
            shutil.rmtree(left)
        scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=folder))
        try:
            builder = Builder(folder, binaries, scratch, say)
            return {recipe.name: builder.image(recipe) for recipe in recipes(settings.versions())}
        finally:
            shutil.rmtree(scratch)


def image_names() -> dict[str, str]:
    """The name in manifests of every image."""
    return {recipe.name: f"{REGISTRY}/{recipe.name}:{recipe.version}" for recipe in recipes(settings.versions())}


def newest(cache: Path, name: str) -> Path | None:
    """The archive of this image that was built last. A name may begin like another's, a key is 24 hex digits."""
    found = [path for path in (cache / "images").glob(name + "-*.tar") if len(path.stem) == len(name) + 25]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _names(recipe: Recipe, packages: list[Package]) -> list[str]:
    """The stable name, and with Debian packages one that tells their exact version."""
    names = [f"{REGISTRY}/{recipe.name}:{recipe.version}"]
    main = [package for package in packages if recipe.packages and package.name == recipe.packages[0]]
    if main and recipe.name not in ("velero", "web"):
        exact = f"{REGISTRY}/{recipe.name}:{main[0].upstream}"
        names += [exact] if exact not in names else []
    return names


def _add_authorities(layer: Layer, root: Path) -> None:
    """The one file that Debian's ca-certificates would make when it is installed."""
    files = sorted((root / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    layer.add_bytes(b"".join(path.read_bytes() for path in files), "etc/ssl/certs/ca-certificates.crt")


def _leave_out(root: Path, patterns: list[str]) -> None:
    for folder, directories, files in os.walk(root, topdown=False):
        for name in files + directories:
            path = os.path.join(folder, name)
            if not any(fnmatch(os.path.relpath(path, root), pattern) for pattern in patterns):
                continue
            if os.path.isdir(path) and not os.path.islink(path):
                os.rmdir(path)
            else:
                os.unlink(path)


@contextmanager
def _locked(path: Path, say: Say) -> Iterator[None]:
    deadline = time.monotonic() + LOCK_LIMIT_SECONDS
    with open(path, "w") as lock:
        said = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ImageError(f"another process has been building images for {LOCK_LIMIT_SECONDS} s; see who "
                                     f"holds {path}") from None
                if not said:
                    say("images: another process is building them, waiting for it")
                    said = True
                time.sleep(0.2)
        yield


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


def _hash_of(paths: list[Path]) -> str:
    """Of contents, names and executable bits."""
    parts = [[path.name, str(path.parent.relative_to(CLUSTER)) if CLUSTER in path.parents else "",
              os.access(path, os.X_OK), _hash_file(path)] for path in paths]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _hash_file(path: Path) -> str:
    with open(path, "rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _words(path: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=COMPILE_LIMIT_SECONDS)
    except FileNotFoundError as error:
        raise ImageError(f"'{command[0]}' is not installed; run 'tools/dev cluster up', which installs it") from error
    if done.returncode:
        raise ImageError(f"'{' '.join(command)}' failed:\n{done.stderr.strip()}")
    return done.stdout
