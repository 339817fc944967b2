"""Images without a container engine: reproducible, and faithful to what went in. Needs no cluster."""
from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bed import image_command, image_recipes, images, mkimage, settings  # noqa: E402
from bed.debian_packages import Package  # noqa: E402
from bed.mkimage import Blob, Image, ImageError, Layer  # noqa: E402

NEEDS_ROOT = unittest.skipUnless(os.geteuid() == 0, "owners of files need root")


class ImageTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.root = self.folder / "root"
        self.root.mkdir()

    def entries(self, layer: Layer) -> dict[str, tarfile.TarInfo]:
        layer.write(self.folder / "layer")
        with tarfile.open(self.folder / "layer") as archive:
            return {entry.name: entry for entry in archive}

    def tree(self) -> dict[str, tarfile.TarInfo]:
        layer = Layer()
        layer.add_tree(self.root)
        return self.entries(layer)

    def write(self, name: str, content: str = "", mode: int = 0o644) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
        return path

    def command(self, *words: str) -> str:
        printed = io.StringIO()
        with redirect_stdout(printed):
            self.assertEqual(image_command.main(["image", *words]), 0)
        return printed.getvalue()


class SameInputSameDigest(ImageTest):
    def digest(self, names: list[str]) -> str:
        folder = self.folder / "-".join(names)
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("content of " + os.path.basename(name))
            (folder / name).chmod(0o640)
            os.utime(folder / name, (len(str(folder)), os.getpid()))
        output = self.folder / "image.tar"
        self.command("shop:1", "--root", str(folder), "--env", "A=1", "--entrypoint", "/b c", "--output", str(output))
        return mkimage.image_digest(output)

    def test_order_and_time_of_creation_do_not_matter(self) -> None:
        self.assertEqual(self.digest(["a", "b", "c/d"]), self.digest(["c/d", "b", "a"]))

    def test_another_name_of_a_file_does(self) -> None:
        self.assertNotEqual(self.digest(["a", "b"]), self.digest(["a", "c"]))

    def test_the_archive_has_the_same_bytes_and_no_name_of_this_machine(self) -> None:
        self.write("file", "text")
        contents = []
        for _ in range(2):
            self.command("shop:1", "--root", str(self.root), "--output", str(self.folder / "image.tar"))
            contents.append((self.folder / "image.tar").read_bytes())
        self.assertEqual(contents[0], contents[1])
        self.assertNotIn(os.uname().nodename.encode() + b"\0", contents[0])
        self.assertNotIn(str(self.folder).encode(), contents[0])
        for entry in self.tree().values():
            self.assertEqual((entry.mtime, entry.uname, entry.gname), (mkimage.TIME, "", ""))


class FaithfulTest(ImageTest):
    def test_permissions_are_kept(self) -> None:
        modes = {"setuid": 0o4755, "secret": 0o600, "group": 0o2750, "none": 0o000, "all": 0o777}
        for name, mode in modes.items():
            self.write(name, "x", mode)
        (self.root / "sticky").mkdir()
        (self.root / "sticky").chmod(0o1777)
        found = self.tree()
        self.assertEqual({name: found[name].mode for name in modes}, modes)
        self.assertEqual(found["sticky"].mode, 0o1777)

    @NEEDS_ROOT
    def test_owners_are_kept_as_numbers(self) -> None:
        os.chown(self.write("file"), 999, 4000000)
        entry = self.tree()["file"]
        self.assertEqual((entry.uid, entry.gid, entry.uname), (999, 4000000, ""))

    def test_hostile_names(self) -> None:
        names = ["new\nline", "-rf", " space ", "colon:644", "quote\"'`$(x)", "ünïcode", "x" * 255,
                 os.fsdecode(b"not-utf8-\xff\xfe"), "back\\slash", "deep/" + "/".join(["d" * 100] * 5), "%s", "*"]
        for name in names:
            self.write(name, name.encode(errors="surrogateescape").hex())
        with tarfile.open(self._layer()) as archive:
            for name in names:
                content = archive.extractfile(name)
                self.assertIsNotNone(content)
                self.assertEqual(content.read().decode(), name.encode(errors="surrogateescape").hex())

    def _layer(self) -> Path:
        layer = Layer()
        layer.add_tree(self.root)
        layer.write(self.folder / "layer")
        return self.folder / "layer"

    def test_a_name_that_would_delete_something_is_refused(self) -> None:
        self.write(".wh.passwd")
        with self.assertRaisesRegex(ImageError, "mean a deletion"):
            self.tree()

    def test_a_socket_is_refused(self) -> None:
        import socket
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.root / "s"))
            with self.assertRaisesRegex(ImageError, "is a socket"):
                self.tree()

    def test_links_stay_links(self) -> None:
        self.write("dir/file", "x")
        os.link(self.root / "dir/file", self.root / "hard")
        (self.root / "soft").symlink_to("/no/such/place")
        (self.root / "to-dir").symlink_to("dir")
        found = self.tree()
        self.assertEqual((found["hard"].type, found["hard"].linkname), (tarfile.LNKTYPE, "dir/file"))
        self.assertEqual((found["soft"].type, found["soft"].linkname), (tarfile.SYMTYPE, "/no/such/place"))
        self.assertEqual(found["to-dir"].type, tarfile.SYMTYPE)
        self.assertNotIn("to-dir/file", found)

    def test_a_checkout_counts_only_the_executable_bit(self) -> None:
        self.write("run", "x", 0o700)
        self.write("read", "x", 0o600)
        layer = Layer()
        layer.add_checkout(self.root)
        found = self.entries(layer)
        self.assertEqual((found["run"].mode, found["read"].mode, found["run"].uid), (0o755, 0o644, 0))

    def test_folders_of_the_layer_below_are_left_as_they_are(self) -> None:
        below = Layer()
        below.add_directory("tmp", 0o1777)
        below.add_link("usr/bin", "bin")
        layer = Layer([below])
        layer.add_bytes(b"x", "tmp/new/file")
        layer.add_bytes(b"x", "bin/tool", 0o755)
        self.assertEqual(sorted(self.entries(layer)), ["bin/tool", "tmp/new", "tmp/new/file"])

    def test_no_way_out_of_the_image(self) -> None:
        for path in ("../etc/passwd", "/a/../../b", ""):
            with self.assertRaises(ImageError, msg=path):
                Layer().add_bytes(b"x", path)


class CommandTest(ImageTest):
    def image(self, *words: str) -> Image:
        self.command("shop:1", *words, "--output", str(self.folder / "image.tar"))
        scratch = Path(tempfile.mkdtemp(dir=self.folder))
        return mkimage.read_image(self.folder / "image.tar", scratch)

    def test_files_keep_their_mode_or_get_the_one_that_is_said(self) -> None:
        plain, odd = self.write("plain", "x", 0o750), self.write("odd:/name", "x")
        image = self.image("--file", f"{plain}:/a/plain", "--file", f"{odd}:/a/odd:0600")
        found = mkimage.layer_of(image.layers[0]).entries
        self.assertEqual((found["a/plain"][0].mode, found["a/odd"][0].mode, found["a"][0].mode), (0o750, 0o600, 0o755))

    def test_what_runs(self) -> None:
        plain = self.write("plain")
        image = self.image("--file", f"{plain}:/plain", "--entrypoint", "/bin/app 'two words'", "--command", "x y",
                           "--env", "A=b=c", "--env", "E=", "--user", "999:999")
        self.assertEqual(image.names, ["salvor.test/shop:1"])
        self.assertEqual(image.config, {"Entrypoint": ["/bin/app", "two words"], "Cmd": ["x", "y"],
                                        "Env": ["A=b=c", "E="], "User": "999:999"})

    def test_an_image_on_another(self) -> None:
        plain = self.write("plain", "below")
        self.command("below:1", "--file", f"{plain}:/plain", "--env", "A=1", "--env", "B=1", "--entrypoint", "/plain",
                     "--output", str(self.folder / "below.tar"))
        image = self.image("--from", str(self.folder / "below.tar"), "--env", "B=2", "--file", f"{plain}:/again")
        self.assertEqual(len(image.layers), 2)
        self.assertEqual((image.config["Env"], image.config["Entrypoint"]), (["A=1", "B=2"], ["/plain"]))

    def test_wrong_calls_say_what_is_wrong(self) -> None:
        plain = self.write("plain")
        given = ["--file", f"{plain}:/plain"]
        for words, said in ((["shop", *given], "is no image name"), (["shop:latest", *given], "latest"),
                            (["Shop:1", *given], "is no image name"), (["shop:1"], "would be empty"),
                            (["shop:1", "--file", f"{plain}"], "is not SRC:DEST"),
                            (["shop:1", "--file", "/no/such:/x"], "no file"),
                            (["shop:1", "--file", f"{plain}:/../x"], "leads out"),
                            (["shop:1", *given, "--env", "A"], "is not NAME=VALUE"),
                            (["shop:1", *given, "--owner", "me"], "is not UID:GID"),
                            (["shop:1", "--from", "no-such"], "neither a file nor one of our images")):
            with self.subTest(words=words), self.assertRaisesRegex(ImageError, said):
                self.command(*words, "--output", str(self.folder / "image.tar"))
            self.assertEqual(list(self.folder.glob("image.tar*")), [])

    def test_loading_what_is_not_there(self) -> None:
        with self.assertRaisesRegex(ImageError, "there is no file"):
            image_command.main(["load-image", str(self.folder / "none")])


class ArchiveTest(ImageTest):
    def test_every_blob_is_what_its_name_says(self) -> None:
        import hashlib
        layer = Layer()
        layer.add_bytes(b"x", "file")
        blob = Blob(self.folder / "layer", layer.write(self.folder / "layer"))
        image = Image(["salvor.test/a:1", "salvor.test/a:1.2"], {"Cmd": ["x"]}, [blob])
        mkimage.write_image(image, self.folder / "image.tar")
        with tarfile.open(self.folder / "image.tar") as archive:
            contents = {entry.name: archive.extractfile(entry).read() for entry in archive}
        for name, content in contents.items():
            if name.startswith("blobs/"):
                self.assertEqual(os.path.basename(name), hashlib.sha256(content).hexdigest())
        names = [entry["annotations"]["io.containerd.image.name"] for entry in json.loads(contents["index.json"])["manifests"]]
        self.assertEqual(names, image.names)

    def test_what_is_no_image_is_refused_as_a_base(self) -> None:
        (self.folder / "junk").write_text("junk")
        with self.assertRaisesRegex(ImageError, "is no image"):
            mkimage.read_image(self.folder / "junk", self.folder)


class RecipesTest(unittest.TestCase):
    def test_versions_of_debian(self) -> None:
        for version, upstream in (("1:10.11.19-0+deb12u1", "10.11.19"), ("15.20-0+deb12u1", "15.20"),
                                  ("2.42.0+ds-5+deb12u1", "2.42.0"), ("1:1.35.0-4+b1", "1.35.0"), ("7", "7")):
            self.assertEqual(Package("x", version, "").upstream, upstream)

    def test_every_image_has_a_name_that_kubernetes_takes(self) -> None:
        names = images.image_names()
        self.assertEqual(set(names), {"pause", "busybox", "web", "postgres", "mariadb", "prometheus", "velero",
                                      "velero-plugin-aws"})
        for name in names.values():
            mkimage.check_reference(name)

    def test_every_folder_of_files_belongs_to_a_recipe(self) -> None:
        known = {recipe.name for recipe in image_recipes.recipes(settings.versions())} | {"base"}
        self.assertLessEqual({path.name for path in images.RECIPES.iterdir() if path.is_dir()}, known)


if __name__ == "__main__":
    unittest.main()
