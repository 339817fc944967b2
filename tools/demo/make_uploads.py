#!/usr/bin/env python3
"""Makes the demo's folder of uploads: a few thousand files of every kind a real one collects.

The same arguments make the same tree (owners apart: they need root), so two runs can be compared.
"""
import argparse
import os
import random
import shutil
import subprocess
import sys

EPOCH_NS = 1_750_000_000_000_000_000

ODD_NAMES = [
    b"name with spaces.txt",
    b" leading and trailing space ",
    b"line\nbreak.txt",
    b"tab\tand\rreturn",
    b"quote'single\"double`back",
    b"back\\slash",
    b"$HOME;rm -rf *?[a-z]{x,y}!#&|<>",
    b"-rf",
    b"--help",
    b"%41 percent",
    b".hidden",
    b"...",
    b"latin1-\xe9\xff\xfe",
    b"broken-utf8-\xc3\x28\xa0\xa1",
    "käse-nfc.txt".encode(),
    "ka\u0308se-nfd.txt".encode(),
    "日本語 ファイル.txt".encode(),
    b"bell\x07-escape\x1b[31m",
    b"n" * 255,
]


class Uploads:
    def __init__(self, root: bytes, mib: int):
        self.root = root
        self.mib = mib
        self.random = random.Random(20261121)
        self.files = []
        self.times = []

    def path(self, *parts: bytes) -> bytes:
        return os.path.join(self.root, *parts)

    def directory(self, *parts: bytes, mode=0o755) -> bytes:
        path = self.path(*parts)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        return path

    def file(self, path: bytes, content: bytes, mode=0o644) -> bytes:
        with open(path, "wb") as out:
            out.write(content)
        os.chmod(path, mode)
        self.files.append(path)
        return path

    def content(self, size: int) -> bytes:
        """Half noise like a picture, half text that deduplicates and compresses."""
        noise = self.random.randbytes(size // 2)
        text = b"An ordinary line of an ordinary upload.\n" * (size // 80 + 1)
        return (noise + text)[:size]

    def pictures(self):
        count = 3600
        mean = max(256, self.mib * 1024 * 1024 // count)
        for number in range(count):
            folder = (b"%d" % (2023 + number % 4), b"%02d" % (1 + number // 4 % 12))
            self.directory(*folder)
            size = int(mean * self.random.choice([0, 0.1, 0.4, 1, 1.5, 3]))
            mode = self.random.choice([0o644, 0o640, 0o600, 0o444, 0o664])
            self.file(self.path(*folder, b"upload-%05d.webp" % number), self.content(size), mode)

    def odd_names(self):
        folder = self.directory(b"odd names \xff", mode=0o750)
        for number, name in enumerate(ODD_NAMES):
            self.file(os.path.join(folder, name), b"content of name %d\n" % number)
        deep = [b"deep"] + [b"level-%02d-" % level + b"x" * 60 for level in range(20)]
        self.file(os.path.join(self.directory(*deep), b"at the bottom"), b"down here\n")
        self.directory(b"empty folder", b"inside an empty one")

    def links(self):
        # Targets are UTF-8 throughout: restic before 0.16 keeps a link's target as JSON text and gives back
        # other bytes for one that is not (measured with Debian's 0.14). Names do not suffer from this.
        folder = self.directory(b"links")
        plain = [path for path in self.files if b"\xff" not in path]
        for number in range(60):
            target = os.path.relpath(self.random.choice(plain), folder)
            os.symlink(target, os.path.join(folder, b"relative-%02d" % number))
        os.symlink(b"/etc/hostname", os.path.join(folder, b"absolute"))
        os.symlink(b"nowhere/at all", os.path.join(folder, b"dangling \xfe"))
        os.symlink(b"loop", os.path.join(folder, b"loop"))
        os.symlink(b"..", os.path.join(folder, b"up"))
        shared = self.file(os.path.join(folder, b"hard-0"), self.content(20000), 0o640)
        other = self.directory(b"links", b"elsewhere")
        for number in range(1, 4):
            os.link(shared, os.path.join(folder, b"hard-%d" % number))
            os.link(shared, os.path.join(other, b"hard-%d" % number))

    def special(self):
        folder = self.directory(b"special", mode=0o2775)
        self.directory(b"special", b"sticky", mode=0o1777)
        self.file(os.path.join(folder, b"empty"), b"")
        self.file(os.path.join(folder, b"script.sh"), b"#!/bin/sh\nexit 0\n", 0o755)
        self.file(os.path.join(folder, b"private"), b"for the owner's eyes\n", 0o400)
        for number, size in enumerate([1 << 20, 24 << 20]):
            path = self.file(os.path.join(folder, b"sparse-%d" % number), b"head")
            with open(path, "r+b") as out:
                out.seek(size // 2)
                out.write(b"middle")
                out.truncate(size)
        os.mkfifo(os.path.join(folder, b"fifo"), 0o600)

    def attributes(self) -> bool:
        """Extended attributes and, where the tools and the file system have them, an access list."""
        folder = self.directory(b"attributes")
        try:
            for number in range(40):
                path = self.file(os.path.join(folder, b"file-%02d" % number), b"%d\n" % number)
                os.setxattr(path, b"user.origin", b"scanner \xff %d" % number)
                if number % 2:
                    os.setxattr(path, b"user.empty", b"")
            os.setxattr(folder, b"user.folder", b"yes")
        except OSError as error:
            print(f"make_uploads: no extended attributes here: {error}", file=sys.stderr)
            return False
        if shutil.which("setfacl"):
            command = [b"setfacl", b"-m", b"u:65534:r", os.path.join(folder, b"file-00")]
            subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
        return True

    def owners(self):
        if os.geteuid() != 0:
            return
        for path in self.files:
            owner = self.random.choice([(33, 33), (33, 33), (1234, 5678), (0, 0), (65534, 65534)])
            mode = os.lstat(path).st_mode & 0o7777
            os.chown(path, *owner, follow_symlinks=False)
            os.chmod(path, mode)

    def old_times(self):
        """Nothing is younger than the demo; folders last, deepest first, for their files touch them."""
        for folder, folders, files in os.walk(self.root, topdown=False):
            for name in files + [f for f in folders if os.path.islink(os.path.join(folder, f))]:
                self.set_time(os.path.join(folder, name))
            self.set_time(folder)

    def set_time(self, path: bytes):
        at = EPOCH_NS + self.random.randrange(10**16)
        os.utime(path, ns=(at, at), follow_symlinks=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("--mib", type=int, default=64, help="roughly how much to make")
    arguments = parser.parse_args()
    root = os.fsencode(arguments.directory)
    if os.path.exists(root) and os.listdir(root):
        sys.exit(f"make_uploads: {arguments.directory} is not empty")
    uploads = Uploads(root, arguments.mib)
    uploads.directory(mode=0o755)
    uploads.pictures()
    uploads.odd_names()
    uploads.links()
    uploads.special()
    uploads.attributes()
    uploads.owners()
    uploads.old_times()


if __name__ == "__main__":
    main()
