"""`tools/dev cluster image …` builds an image without a container engine, and `load-image FILE` gives it to the cluster."""
from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Sequence

from . import images, mkimage, settings
from .mkimage import Blob, Image, ImageError, Layer

IMPORT_LIMIT_SECONDS = 300

EPILOG = """Same input, same digest. Files keep their modes and belong to root unless --owner says otherwise; a root
file system keeps the owners it has on disk. The tag may not be 'latest', which Kubernetes would pull from a registry.

example:  tools/dev cluster image salvor.test/shop:1 --from web --file site.html:/www/index.html --output shop.tar
          tools/dev cluster load-image shop.tar"""


def main(arguments: Sequence[str]) -> int:
    """`arguments` start with the command's name. Errors are raised as Trouble."""
    options = _parser().parse_args(arguments)
    return options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/dev cluster", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="image | load-image")
    image = commands.add_parser("image", allow_abbrev=False, epilog=EPILOG, help="build an image",
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    image.set_defaults(run=build)
    image.add_argument("name", metavar="NAME", help="REGISTRY/NAME:TAG; without a registry salvor.test")
    image.add_argument("--from", dest="below", metavar="IMAGE", help="put it on this image: an archive, or one of ours")
    image.add_argument("--root", type=Path, action="append", default=[], metavar="DIR", help="a root file system")
    image.add_argument("--file", action="append", default=[], metavar="SRC:DEST[:MODE]", help="one file")
    image.add_argument("--directory", action="append", default=[], metavar="PATH[:MODE]", help="an empty folder")
    image.add_argument("--link", action="append", default=[], metavar="TARGET:PATH", help="a symbolic link")
    image.add_argument("--owner", metavar="UID:GID", help="of everything in this image's own layer")
    image.add_argument("--entrypoint", metavar="WORDS", help="what runs, as a shell would split it")
    image.add_argument("--command", metavar="WORDS", help="arguments of it that a pod may replace")
    image.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    image.add_argument("--user", metavar="USER", help="a number, NUMBER:NUMBER, or a name of the image's /etc/passwd")
    image.add_argument("--working-directory", metavar="PATH")
    image.add_argument("--output", type=Path, required=True, metavar="FILE", help="the archive to write")
    load = commands.add_parser("load-image", allow_abbrev=False, help="import an archive into the cluster's containerd")
    load.set_defaults(run=load_image)
    load.add_argument("file", type=Path, metavar="FILE")
    return parser


def build(options: argparse.Namespace) -> int:
    name = options.name if "/" in options.name else f"{images.REGISTRY}/{options.name}"
    mkimage.check_reference(name)
    if not options.output.parent.is_dir():
        raise ImageError(f"the folder {options.output.parent} of --output is not there", "Make it first.")
    with tempfile.TemporaryDirectory(dir=options.output.parent, prefix=".image-") as scratch:
        base = _base(options.below, Path(scratch))
        layer = Layer([mkimage.layer_of(blob) for blob in base.layers])
        _fill(layer, options)
        layers = list(base.layers)
        if layer.entries:
            path = Path(scratch) / "layer"
            layers.append(Blob(path, layer.write(path)))
        if not layers:
            raise ImageError("the image would be empty", "Give it --from, --root or --file.")
        digest = mkimage.write_image(Image([name], _config(base.config, options), layers), options.output)
    print(f"{name} {digest} in {options.output}, {options.output.stat().st_size / 1e6:.1f} MB")
    return 0


def load_image(options: argparse.Namespace) -> int:
    if not options.file.is_file():
        raise ImageError(f"there is no file {options.file}", "'tools/dev cluster image' makes one.")
    socket = settings.CONTAINERD_SOCKET
    if not socket.is_socket():
        raise ImageError(f"the cluster's containerd does not run: there is no socket {socket}",
                         "'tools/dev cluster up' starts it.")
    import_archive(options.file, socket)
    return 0


def import_archive(archive: Path, socket: Path) -> None:
    command = ["ctr", "-a", str(socket), "-n", "k8s.io", "images", "import", str(archive)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=IMPORT_LIMIT_SECONDS)
    except FileNotFoundError as error:
        raise ImageError("'ctr' is not installed", "'tools/dev cluster up' installs containerd.") from error
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"importing {archive} did not end in {IMPORT_LIMIT_SECONDS} s",
                         "'tools/dev cluster status' tells how containerd is.") from error
    if done.returncode:
        raise ImageError(f"importing {archive} failed: {done.stdout.strip()}", "Is it an OCI or docker archive?")
    print(done.stdout.strip())


def _base(below: str | None, scratch: Path) -> Image:
    if below is None:
        return Image([], {})
    return mkimage.read_image(_archive_of(below), scratch)


def _archive_of(below: str) -> Path:
    """A file, or the newest archive of one of our images in the cache."""
    if Path(below).is_file():
        return Path(below)
    if below not in images.image_names():
        raise ImageError(f"--from: '{below}' is neither a file nor one of our images",
                         "Ours are: " + ", ".join(sorted(images.image_names())) + ".")
    archive = images.newest(settings.cache(), below)
    if archive is None:
        raise ImageError(f"--from: the image '{below}' has not been built yet", "'tools/dev cluster up' builds it.")
    return archive


def _fill(layer: Layer, options: argparse.Namespace) -> None:
    owner = _owner(options.owner)
    uid, gid = owner or (0, 0)
    for root in options.root:
        if not root.is_dir():
            raise ImageError(f"--root: {root} is not a folder")
        layer.add_tree(root, owner)
    for text in options.directory:
        path, mode = _mode(text)
        layer.add_directory(path, 0o755 if mode is None else mode, uid, gid)
    for text in options.file:
        source, path, mode = _file(text)
        layer.add_file(source, path, mode, uid, gid)
    for text in options.link:
        target, separator, path = text.rpartition(":")
        if not separator or not target:
            raise ImageError(f"--link: '{text}' is not TARGET:PATH")
        layer.add_link(target, path)


def _file(text: str) -> tuple[Path, str, int | None]:
    """DEST starts with '/', so a colon in SRC does no harm."""
    rest, mode = _mode(text)
    source, separator, path = rest.rpartition(":/")
    if not separator or not source:
        raise ImageError(f"--file: '{text}' is not SRC:DEST[:MODE]", "DEST starts with '/'.")
    if not Path(source).is_file():
        raise ImageError(f"--file: there is no file {source!r}")
    return Path(source), path, mode


def _mode(text: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(.*):([0-7]{3,4})", text, re.DOTALL)
    return (found[1], int(found[2], 8)) if found else (text, None)


def _owner(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,10}):([0-9]{1,10})", text)
    if not found:
        raise ImageError(f"--owner: '{text}' is not UID:GID", "Both are numbers, as 1000:1000.")
    return int(found[1]), int(found[2])


def _config(base: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    config = dict(base)
    if options.entrypoint is not None:
        config["Entrypoint"] = shlex.split(options.entrypoint)
        config.pop("Cmd", None)
    if options.command is not None:
        config["Cmd"] = shlex.split(options.command)
    if options.user is not None:
        config["User"] = options.user
    if options.working_directory is not None:
        config["WorkingDir"] = options.working_directory
    environment = dict(word.split("=", 1) for word in base.get("Env", []))
    for word in options.env:
        if not re.match(r"[^=]+=", word):
            raise ImageError(f"--env: '{word}' is not NAME=VALUE")
        environment.update([word.split("=", 1)])
    if environment:
        config["Env"] = [f"{name}={value}" for name, value in environment.items()]
    return config
