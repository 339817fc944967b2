"""Debian packages as files for images: resolved and downloaded by apt into a folder of ours, and only unpacked.

No maintainer script runs, so the same packages give the same files. apt is told of a system on which nothing is
installed but the packages of images/absent.txt, which are thereby left out together with what only they need. The
machine's own apt is used for its sources and keys alone; its lists, caches and packages stay untouched.
"""
from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable
from urllib.parse import unquote

from .mkimage import ImageError

Say = Callable[[str], None]
APT_LIMIT_SECONDS = 300
UNPACK_LIMIT_SECONDS = 60

ABSENT = """Package: {name}
Status: install ok installed
Version: 99:1
Architecture: amd64
Multi-Arch: allowed
Maintainer: nobody <nobody@invalid>
Description: left out of the images

"""

# The machine's own hooks (a clean-up of its archives, say) have no business here.
CONFIGURATION = """#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Cache::archives "archives";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Keep-Downloaded-Packages "true";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
"""


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    file: str

    @property
    def upstream(self) -> str:
        """1:10.11.19-0+deb12u1 is 10.11.19."""
        version = self.version.rpartition("-")[0] or self.version
        return re.sub(r"[^0-9.].*$", "", version.rpartition(":")[2])


class DebianPackages:
    """The packages in `folder`. The lists are fetched once and again only when a package of theirs is gone."""

    def __init__(self, folder: Path, absent: list[str], say: Say) -> None:
        self.folder, self.absent, self.say = folder, absent, say
        self.archives = folder / "cache" / "archives"
        self._prepare()

    def resolve(self, names: list[str]) -> list[Package]:
        """The packages and all they need, sorted by name."""
        if not self._lists():
            self._update()
        memory = self.folder / "resolved" / self._resolution_key(names)
        if not memory.exists():
            found = self._plan(names)
            _write(memory, json.dumps([[package.name, package.version, package.file] for package in found]))
        return [Package(*words) for words in json.loads(memory.read_text())]

    def download(self, names: list[str]) -> list[Package]:
        """Downloads what is not there yet; after this the packages are in `archives`."""
        packages = self.resolve(names)
        if self._missing(packages):
            done = self._apt("install", "-y", "--download-only", *names, may_fail=True)
            if done is None:
                self.say("Debian packages: the lists are out of date, fetching them again")
                self._update()
                self._apt("install", "-y", "--download-only", *names)
                packages = self.resolve(names)
        if missing := self._missing(packages):
            raise ImageError(f"apt did not download {', '.join(missing)}; look at {self.archives}")
        return packages

    def unpack(self, packages: list[Package], root: Path) -> None:
        """Needs root, for the owners of files."""
        for name in ("bin", "sbin", "lib", "lib64"):
            for folder in (root / "usr", root / "usr" / name):
                folder.mkdir(exist_ok=True)
                folder.chmod(0o755)
            if not (root / name).is_symlink():
                (root / name).symlink_to("usr/" + name)
        for package in packages:
            _unpack(self.archives / package.file, root)

    def _prepare(self) -> None:
        for part in ("state/lists/partial", "cache/archives/partial", "resolved"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        _write(self.folder / "status", "".join(ABSENT.format(name=name) for name in self.absent))
        _write(self.folder / "apt.conf", CONFIGURATION.format(folder=self.folder))

    def _lists(self) -> list[Path]:
        return sorted((self.folder / "state" / "lists").glob("*_Packages*"))

    def _update(self) -> None:
        self.say("Debian packages: fetching apt's lists")
        self._apt("update", "--error-on=any")

    def _resolution_key(self, names: list[str]) -> str:
        lists = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in self._lists()]
        return hashlib.sha256(json.dumps([names, self.absent, lists]).encode()).hexdigest()[:32]

    def _plan(self, names: list[str]) -> list[Package]:
        # Of an empty folder of archives, since apt does not print what is downloaded already.
        nowhere = self.folder / "cache" / "no-archives"
        (nowhere / "partial").mkdir(parents=True, exist_ok=True)
        text = self._apt("install", "-y", "--print-uris", "-o", f"Dir::Cache::archives={nowhere}", *names) or ""
        files = [line.split()[1] for line in text.splitlines() if line.startswith("'")]
        return sorted((_package_of(file) for file in files), key=lambda package: package.name)

    def _missing(self, packages: list[Package]) -> list[str]:
        return [package.file for package in packages if not (self.archives / package.file).exists()]

    def _apt(self, *arguments: str, may_fail: bool = False) -> str | None:
        command = ["apt-get", "-q", "-c", str(self.folder / "apt.conf"), *arguments]
        environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        try:
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  stdin=subprocess.DEVNULL, timeout=APT_LIMIT_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ImageError(f"'{' '.join(command)}' did not end in {APT_LIMIT_SECONDS} s; look at the network") from error
        if done.returncode == 0:
            return done.stdout
        if may_fail:
            return None
        raise ImageError(f"'{' '.join(command)}' failed:\n{done.stderr.strip()}\n"
                         "Look at the network and at this machine's apt sources, which are used.")


def _package_of(file: str) -> Package:
    name, version, _ = file.removesuffix(".deb").rsplit("_", 2)
    return Package(name, unquote(version), file)


def _unpack(archive: Path, root: Path) -> None:
    # Through the links /bin, /lib and so on: packages of Debian 12 still ship files below them.
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as reader:
        tar = ["tar", "-x", "-p", "--numeric-owner", "--same-owner", "--keep-directory-symlink", "-C", str(root)]
        done = subprocess.run(tar, stdin=reader.stdout, stderr=subprocess.PIPE, timeout=UNPACK_LIMIT_SECONDS)
    if done.returncode or reader.returncode:
        raise ImageError(f"cannot unpack {archive}: {done.stderr.decode(errors='replace').strip()}; "
                         "remove that file and try again")


def _write(path: Path, text: str) -> None:
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(text)
    os.replace(unfinished, path)
