#!/usr/bin/env python3
"""tools/dev image: what is in Salvor's image, with a small program of this machine in place of Salvor's own."""

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools/image"), str(ROOT / "tests/cluster")]

import make_image  # noqa: E402
from bed import mkimage  # noqa: E402

STANDIN = Path("/usr/bin/grep")  # it needs a library beside libc


class ImageTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="salvor-image-test-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.programs = self.folder / "bin"
        self.programs.mkdir()
        for name in make_image.PROGRAMS:
            shutil.copy(STANDIN, self.programs / name)

    def make(self, name: str) -> Path:
        output = self.folder / name
        make_image.build(self.programs, output, say=lambda text: None)
        return output

    def unpacked(self, archive: Path) -> Path:
        image = mkimage.read_image(archive, Path(tempfile.mkdtemp(dir=self.folder)))
        self.assertEqual(image.config["User"], "65532:65532")
        self.assertEqual(image.names, [make_image.image_name()])
        root = self.folder / "root"
        for layer in image.layers:
            with tarfile.open(layer.path) as packed:
                packed.extractall(root)
        return root

    def test_every_library_is_in_it(self):
        root = self.unpacked(self.make("image.tar"))
        for name in (*make_image.PROGRAMS, *make_image.TOOLS):
            program = root / "usr/bin" / name
            self.assertTrue(program.stat().st_mode & 0o111, name)
            for library in make_image.libraries(program):
                self.assertTrue((root / library.lstrip("/")).is_file(), f"{name} loads {library}")
        self.assertIn("BEGIN CERTIFICATE", (root / "etc/ssl/certs/ca-certificates.crt").read_text())
        self.assertEqual((root / "tmp").stat().st_mode & 0o7777, 0o1777)

    def test_the_tools_of_movers_are_where_an_agent_looks_for_them(self):
        folder = re.search(r'kPostgresPrograms\[\] = "(.*)"', (ROOT / "agent/engines/postgres/actions/actions.h").read_text())[1]
        root = self.unpacked(self.make("image.tar"))
        self.assertEqual({path.rpartition("/")[0] for path in make_image.CLIENTS}, {folder})
        for path in make_image.CLIENTS:
            program = root / path.lstrip("/")
            self.assertTrue(program.stat().st_mode & 0o111, path)
            for library in make_image.libraries(program):
                self.assertTrue((root / library.lstrip("/")).is_file(), f"{path} loads {library}")

    def test_the_same_programs_make_the_same_image(self):
        self.assertEqual(mkimage.image_digest(self.make("one.tar")), mkimage.image_digest(self.make("two.tar")))

    def test_what_is_not_built_is_named_and_nothing_is_written(self):
        (self.programs / "salvor-supervise").unlink()
        done = subprocess.run([str(ROOT / "tools/dev"), "image", "--programs", str(self.programs), "--output",
                               str(self.folder / "image.tar")], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("salvor-supervise", done.stderr)
        self.assertIn("cmake --build --preset release", done.stderr)
        self.assertFalse((self.folder / "image.tar").exists())


if __name__ == "__main__":
    unittest.main()
