"""Running other programs to their end."""

import shutil
import subprocess
from pathlib import Path

from .console import Trouble

# Debian keeps programs here that only root runs; a root shell without login may lack them.
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find(program: str) -> str | None:
    return shutil.which(program, path=SEARCH)


def run(*words: str | Path, input: str | None = None, check: bool = True, seconds: float = 120,
        environment: dict[str, str] | None = None) -> str:
    """Runs a program and gives what it printed. With check, a failure is an error that quotes it."""
    argv = [str(word) for word in words]
    argv[0] = find(argv[0]) or argv[0]
    try:
        done = subprocess.run(argv, input=input, text=True, capture_output=True, timeout=seconds, env=environment)
    except FileNotFoundError:
        raise Trouble(f"'{argv[0]}' is not installed", "'tools/dev cluster up' installs what is needed.") from None
    except subprocess.TimeoutExpired:
        raise Trouble(f"'{' '.join(argv[:4])}' did not end within {seconds:.0f} s") from None
    if check and done.returncode:
        raise Trouble(f"'{' '.join(argv[:6])}' failed: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


def succeeds(*words: str | Path) -> bool:
    argv = [str(word) for word in words]
    argv[0] = find(argv[0]) or argv[0]
    return subprocess.run(argv, capture_output=True).returncode == 0
