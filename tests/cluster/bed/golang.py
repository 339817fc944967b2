"""The Go compiler: finding it, its environment, and builds that show how far they are."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from .commands import find
from .console import Trouble, Unfit, say
from .settings import cache, versions


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def version_of(go: str) -> str:
    done = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, env=environment())
    return done.stdout.strip()


def find_go() -> str:
    """A Go that is new enough. Debian 12's own is not, and fetches one."""
    needed = versions()["GO"]
    fetched = cache() / f"go-{needed}" / "bin/go"
    if fetched.exists():
        return str(fetched)
    seen = {}
    for go in _candidates():
        if go and go not in seen and os.access(go, os.X_OK):
            seen[go] = version_of(go)
            if _number(seen[go]) >= _number(needed):
                return go
    if not seen:
        raise Unfit(f"building the cluster needs Go {needed} or newer, and there is none",
                    "Install Debian's package golang-go, which fetches a newer one, or put a Go on the PATH.")
    return str(_fetch(next(iter(seen)), needed, fetched))


def _candidates() -> list[str | None]:
    usual = "/usr/local/go"
    return [find("go"), os.path.join(os.environ.get("GOROOT", usual), "bin/go"), f"{usual}/bin/go",
            *(os.path.join(folder, "go") for folder in os.environ.get("PATH", "").split(":"))]


def _fetch(go: str, version: str, into: Path) -> Path:
    """Go's releases are modules too: one of them, with its checksum, from where all modules come."""
    say(f"Go {version}, which {version_of(go)} fetches")
    module = f"golang.org/toolchain@v0.0.1-go{version}.linux-amd64"
    done = subprocess.run([go, "mod", "download", "-json", module], capture_output=True, text=True, env=environment(),
                          cwd="/")
    if done.returncode != 0:
        raise Unfit(f"{go} mod download {module}: {(done.stderr or done.stdout).strip()[-500:]}",
                    "Look at the network and at 'go env GOPROXY', or put a newer Go on the PATH.")
    root = into.parent.parent
    unfinished = root.with_name(root.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(json.loads(done.stdout)["Dir"], unfinished)
    for path in [unfinished, *unfinished.rglob("*")]:
        # A module's files are read-only and none of them is a program.
        program = path.is_dir() or path.parent.name == "bin" or "tool" in path.relative_to(unfinished).parts[:2]
        path.chmod(0o755 if program else 0o644)
    unfinished.rename(root)
    return into


def environment() -> dict[str, str]:
    """The caller's, with everything fixed that would change what comes out."""
    fixed = {"GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off", "CGO_ENABLED": "0", "GOOS": "linux",
             "GOARCH": "amd64"}
    available = int(re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1))
    if available > 8_000_000:
        fixed["GOGC"] = "400"  # a tenth faster for more memory
    # Of another Go than the one that was found, maybe.
    return {**{name: value for name, value in os.environ.items() if name != "GOROOT"}, **fixed}


class Progress:
    """One line that is written over on a terminal; elsewhere a line every now and then."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.begin = time.monotonic()
        self.shown = 0.0
        self.terminal = sys.stdout.isatty()

    def show(self, text: str) -> None:
        now = time.monotonic()
        if now - self.shown < (0.2 if self.terminal else 20):
            return
        self.shown = now
        line = f"          {self.name}: {text}"
        if self.terminal:
            print(f"\r{line:<78}", end="", flush=True)
        else:
            say(line)

    def compiled(self, count: int, total: int) -> None:
        passed = time.monotonic() - self.begin
        left = passed / count * (total - count) if count else 0
        self.show(f"{count} of {total} packages, about {left:.0f} s left, then linking")

    def close(self) -> None:
        if self.terminal:
            print("\r" + " " * 78 + "\r", end="", flush=True)


def fetch(go: str, wanted: list[tuple[Path, tuple[str, ...]]]) -> None:
    """Downloads what these packages need, in the background: while the first module is compiled the network is idle.
    What fails here is told by the build itself."""
    def download() -> None:
        for folder, packages in wanted:
            subprocess.run([go, "list", "-mod=readonly", "-deps", *packages], cwd=folder, env=environment(),
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    threading.Thread(target=download, daemon=True).start()


def _stale_packages(go: str, folder: Path, flags: list[str], packages: tuple[str, ...], progress: Progress) -> int:
    """How many packages are to be compiled; downloads what is missing on the way."""
    argv = [go, "list", *flags, "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", *packages]
    listing = subprocess.Popen(argv, cwd=folder, env=environment(), text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    count, downloads, errors = 0, 0, []
    for line in listing.stdout:
        if line.startswith("go: downloading"):
            downloads += 1
            progress.show(f"downloading module {downloads}")
        elif line.startswith("go: ") or " " in line.strip():
            errors.append(line)
        elif line.strip():
            count += 1
    if listing.wait():
        raise Trouble(f"go list in {folder} failed:\n{''.join(errors[-15:])}",
                      "If a download failed, run it again: what is there is kept.")
    return count


def build(go: str, name: str, folder: Path, definitions: dict[str, str], packages: tuple[str, ...], out: Path) -> None:
    stamps = " ".join(f"-X {key}={value}" for key, value in definitions.items())
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {stamps}"]
    progress = Progress(name)
    total = _stale_packages(go, folder, flags, packages, progress)
    argv = [go, "build", *flags, "-v", "-o", f"{out}/", *packages]
    compiler = subprocess.Popen(argv, cwd=folder, env=environment(), text=True, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE)
    count, said = 0, []
    try:
        for line in compiler.stderr:
            if re.fullmatch(r"[\w./~-]+\n", line):
                count += 1
                progress.compiled(min(count, total), total)
            else:
                said.append(line)
        failed = compiler.wait()
    except KeyboardInterrupt:
        compiler.terminate()
        raise
    finally:
        progress.close()
    if failed:
        raise Trouble(f"building {name} failed:\n{''.join(said[-20:])}",
                      "What was compiled is kept; run it again after mending.")


def module_folder(go: str, folder: Path, module: str) -> Path:
    """The folder where Go keeps the source of a module that the one in the folder requires."""
    argv = [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module]
    done = subprocess.run(argv, cwd=folder, env=environment(), capture_output=True, text=True)
    if done.returncode or not done.stdout.strip():
        subprocess.run([go, "mod", "download", module], cwd=folder, env=environment(), capture_output=True)
        done = subprocess.run(argv, cwd=folder, env=environment(), capture_output=True, text=True)
    if done.returncode or not done.stdout.strip():
        raise Trouble(f"go does not find the module {module}: {done.stderr.strip()}")
    return Path(done.stdout.strip())
