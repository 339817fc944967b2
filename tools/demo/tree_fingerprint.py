#!/usr/bin/env python3
"""Prints one line per entry of a tree and nothing else: two trees are the same when the output is.

It shares no code with Salvor, on purpose: the demo uses it to check Salvor's work. Names are percent-encoded.
What is compared: path, type, mode, owner, group, size, modification time, content, link target, which names are
hard links of one file, and extended attributes.
"""
import hashlib
import os
import stat
import sys
from urllib.parse import quote_from_bytes

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo"}


def content_hash(path: bytes) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def attributes(path: bytes) -> str:
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
    except OSError:
        return ""
    pairs = (f"{n}={os.getxattr(path, n, follow_symlinks=False).hex()}" for n in names)
    return ",".join(pairs)


def describe(path: bytes, name: bytes, inodes: dict) -> str:
    info = os.lstat(path)
    kind = KINDS.get(stat.S_IFMT(info.st_mode), "other")
    fields = [quote_from_bytes(name), kind, oct(stat.S_IMODE(info.st_mode)), str(info.st_uid), str(info.st_gid),
              str(info.st_mtime_ns)]
    if kind == "file":
        fields += [str(info.st_size), content_hash(path)]
        if info.st_nlink > 1:
            fields.append("same-as=" + inodes.setdefault((info.st_dev, info.st_ino), quote_from_bytes(name)))
    elif kind == "symlink":
        fields.append(quote_from_bytes(os.readlink(path)))
    fields.append(attributes(path))
    return " ".join(fields)


def entries(root: bytes):
    yield root, b"."
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(folders + files):
            path = os.path.join(folder, name)
            yield path, os.path.relpath(path, root)


def main():
    if len(sys.argv) != 2 or not os.path.isdir(sys.argv[1]):
        sys.exit("usage: tree_fingerprint.py DIRECTORY")
    inodes = {}
    for path, name in entries(os.fsencode(sys.argv[1])):
        print(describe(path, name, inodes))


if __name__ == "__main__":
    main()
