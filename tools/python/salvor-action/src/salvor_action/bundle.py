"""Makes one executable file of a program and this package, as an agent is to be allowed: its digest is that of all of it.

Usage: python3 -m salvor_action.bundle PROGRAM.py OUTPUT
"""
from __future__ import annotations

import os
import pathlib
import shutil
import sys
import tempfile
import zipapp

KEPT = ("__init__.py", "action.py", "contract.py")


def bundle(program, output) -> None:
    with tempfile.TemporaryDirectory() as folder:
        package = pathlib.Path(folder) / "salvor_action"
        package.mkdir()
        for name in KEPT:
            shutil.copy(pathlib.Path(__file__).parent / name, package / name)
        shutil.copy(program, pathlib.Path(folder) / "__main__.py")
        for path in [package, *package.iterdir(), pathlib.Path(folder) / "__main__.py"]:
            os.utime(path, (315619200, 315619200))  # the same program gives the same file
        zipapp.create_archive(folder, output, interpreter="/usr/bin/python3")
    pathlib.Path(output).chmod(0o755)


if __name__ == "__main__":
    bundle(*sys.argv[1:])
