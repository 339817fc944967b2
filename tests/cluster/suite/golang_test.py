"""The Go that builds the cluster: one that is there and new enough, else one that an older one fetches."""

import json
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from bed import golang
from bed.console import Unfit
from bed.settings import versions

NEEDED = versions()["GO"]


class FindGo(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="salvor-golang-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        environment = mock.patch.dict(os.environ, {"SALVOR_CACHE": str(self.folder / "cache")})
        environment.start()
        self.addCleanup(environment.stop)

    def go(self, version: str, download: str = "exit 1") -> str:
        """A program that answers as go of that version does."""
        path = self.folder / f"go{version}"
        path.write_text(f"""#!/bin/sh
case "$1 $2" in
"env GOVERSION") echo go{version} ;;
"mod download") {download} ;;
esac
""")
        path.chmod(0o755)
        return str(path)

    def found(self, *candidates: str) -> str:
        with mock.patch.object(golang, "_candidates", return_value=list(candidates)):
            return golang.find_go()

    def module(self) -> str:
        """A release as a module has it: read-only, and nothing in it a program."""
        release = self.folder / "module"
        for name in ("bin/go", "pkg/tool/linux_amd64/compile", "src/fmt/print.go"):
            path = release / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"#!/bin/sh\necho go{NEEDED}\n")
            path.chmod(0o444)
        (self.folder / "answer.json").write_text(json.dumps({"Dir": str(release)}))
        return f"echo \"$4\" >{self.folder}/asked; cat {self.folder}/answer.json"

    def test_the_first_that_is_new_enough_is_taken(self):
        old, new = self.go("1.19.8"), self.go(NEEDED)
        self.assertEqual(self.found(str(self.folder / "none"), old, new), new)

    def test_numbers_are_compared_and_not_letters(self):
        new = self.go("1.100.0")
        self.assertEqual(self.found(new), new)

    def test_an_older_one_fetches_what_is_needed_once(self):
        old = self.go("1.19.8", self.module())
        fetched = self.found(old)
        self.assertEqual((self.folder / "asked").read_text(), f"golang.org/toolchain@v0.0.1-go{NEEDED}.linux-amd64\n")
        self.assertEqual(golang.version_of(fetched), f"go{NEEDED}", "it runs")
        root = Path(fetched).parent.parent
        self.assertTrue(os.access(root / "pkg/tool/linux_amd64/compile", os.X_OK))
        self.assertEqual((root / "src/fmt/print.go").stat().st_mode & 0o777, 0o644)
        (self.folder / "asked").unlink()
        self.assertEqual(self.found(old), fetched)
        self.assertFalse((self.folder / "asked").exists())

    def test_a_download_that_fails_says_why(self):
        with self.assertRaisesRegex(Unfit, "no such host"):
            self.found(self.go("1.19.8", "echo 'dial tcp: no such host' >&2; exit 1"))

    def test_none_at_all_says_what_to_do(self):
        with self.assertRaises(Unfit) as failed:
            self.found(str(self.folder / "none"))
        self.assertIn("golang-go", failed.exception.hint)


if __name__ == "__main__":
    unittest.main()
