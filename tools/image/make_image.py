#!/usr/bin/env python3
"""Salvor's image, made without a container engine: the built programs with the libraries that they load, restic, and
the certificate authorities of Debian's package. Same input, same digest. Run by tools/dev image."""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/cluster"))

from bed import image_command  # noqa: E402
from bed.console import Trouble, report  # noqa: E402

PROGRAMS = ("salvord", "salvor-agent", "salvor-supervise", "salvor")
# A pod's first container lays secrets where Salvor takes them, and prepares the state's folder.
TOOLS = {"restic": "/usr/bin/restic", "sh": "/bin/dash", "install": "/usr/bin/install", "chmod": "/bin/chmod",
         "cat": "/bin/cat"}
# By the paths that salvor-agent looks for them at. Dumps of a newer server than these are refused, by name.
CLIENTS = [f"/usr/lib/postgresql/15/bin/{name}" for name in ("pg_dump", "pg_dumpall", "pg_restore", "psql")]
AUTHORITIES = Path("/usr/share/ca-certificates/mozilla")
USER = 65532
FILES = {
    "/etc/passwd": f"root:x:0:0:root:/:/sbin/nologin\nsalvor:x:{USER}:{USER}:Salvor:/tmp:/sbin/nologin\n",
    "/etc/group": f"root:x:0:\nsalvor:x:{USER}:\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def version() -> str:
    found = re.search(r"project\(salvor VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())
    if not found:
        raise Trouble("CMakeLists.txt names no version")
    return found[1]


def image_name() -> str:
    """The name that deploy/kubernetes has."""
    return f"salvor.test/salvor:{version()}"


def libraries(program: Path) -> set[str]:
    """Paths of all that the loader would map, and of the loader."""
    done = subprocess.run(["ldd", str(program)], capture_output=True, text=True)
    if "not a dynamic executable" in done.stderr + done.stdout:
        return set()
    if done.returncode or "not found" in done.stdout:
        raise Trouble(f"{program}: not all of its libraries are there: {(done.stderr or done.stdout).strip()[-400:]}")
    found = re.findall(r"(?:=> )?(/\S+) \(0x", done.stdout)
    if not found:
        raise Trouble(f"{program}: ldd names no library", done.stdout.strip()[-400:])
    return set(found)


def stripped(program: Path, folder: Path) -> Path:
    """Symbols are of use to a debugger alone, and are half of a program."""
    out = folder / program.name
    done = subprocess.run(["strip", "--strip-all", "-o", str(out), str(program)], capture_output=True, text=True)
    if done.returncode:
        raise Trouble(f"strip {program}: {done.stderr.strip()}")
    return out


def gather(programs: Path, folder: Path) -> dict[str, Path]:
    """Path in the image -> file."""
    files: dict[str, Path] = {}
    for name in PROGRAMS:
        source = programs / name
        if not source.is_file():
            raise Trouble(f"there is no {source}",
                          "Build it: cmake --preset release && cmake --build --preset release; or name --programs.")
        files[f"/usr/bin/{name}"] = stripped(source, folder)
    for name, path in TOOLS.items():
        if not Path(path).is_file():
            raise Trouble(f"there is no {path}", "'tools/dev setup' installs what is needed.")
        files[f"/usr/bin/{name}"] = Path(path)
    for path in CLIENTS:
        if not Path(path).is_file():
            raise Trouble(f"there is no {path}", "'tools/dev setup' installs what is needed.")
        files[path] = Path(path)
    for path in sorted({library for source in files.values() for library in libraries(source)}):
        files[path] = Path(path)
    for path, text in FILES.items():
        files[path] = folder / path.replace("/", "_")
        files[path].write_text(text)
    files["/etc/ssl/certs/ca-certificates.crt"] = folder / "authorities"
    certificates = sorted(AUTHORITIES.glob("*.crt"))
    if not certificates:
        raise Trouble(f"there are no certificates in {AUTHORITIES}", "Install Debian's package ca-certificates.")
    (folder / "authorities").write_bytes(b"".join(path.read_bytes() for path in certificates))
    return files


def build(programs: Path, output: Path, say=print) -> None:
    with tempfile.TemporaryDirectory(prefix="salvor-image-") as scratch:
        files = gather(programs, Path(scratch))
        words = ["image", image_name(), "--directory", "/tmp:1777", "--directory", "/var/lib:0755",
                 "--link", "usr/bin:/bin", "--user", f"{USER}:{USER}", "--env", "PATH=/usr/bin", "--env", "HOME=/tmp",
                 "--output", str(output)]
        for path, source in sorted(files.items()):
            runs = path.startswith("/usr/bin/") or path in CLIENTS or "/ld-linux" in path
            words += ["--file", f"{source}:{path}:{'0755' if runs else '0644'}"]
        image_command.main(words)
        for part, chosen in (("programs", [f"/usr/bin/{name}" for name in PROGRAMS]), ("restic", ["/usr/bin/restic"]),
                             ("PostgreSQL's clients", CLIENTS),
                             ("libraries", [path for path in files if ".so" in path])):
            say(f"  {part}: {sum(files[path].stat().st_size for path in chosen) / 1e6:.1f} MB")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/dev image", description=__doc__)
    parser.add_argument("--programs", type=Path, default=ROOT / "build/release/bin", metavar="DIR",
                        help="folder of the built programs (default build/release/bin)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the OCI archive (default build/salvor-VERSION.tar)")
    options = parser.parse_args()
    try:
        build(options.programs, options.output or ROOT / f"build/salvor-{version()}.tar")
    except Trouble as trouble:
        report(trouble)
        return trouble.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
