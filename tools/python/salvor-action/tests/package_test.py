"""The package itself: what its fake host refuses, and what it makes of an author's mistakes."""
import pathlib
import subprocess
import sys
import unittest

from support import HERE, WithFolder

from salvor_action.bundle import bundle
from salvor_action.fake_host import BrokenContract, FakeHost, here

SCHEMA = HERE.parents[3] / "docs/reference/action-contract.schema.json"
PROGRAM = """#!/usr/bin/python3
import os, sys
from salvor_action import Action, Damaged, Failed, Temporary, run
class Toy(Action):
    def plan(self, request, tell):
        tell.artifact("text", "stream")
    def backup(self, request, tell):
        mode = request.settings.get("mode", "")
        raw = lambda text: tell._out.write(text) and tell._out.flush()
        if mode == "temporary": raise Temporary("busy", hint="Wait.")
        if mode == "mistake": return 1 / 0
        if mode == "half": raw('{"event": "exp'); os._exit(0)
        if mode == "not done": os._exit(0)
        if mode == "twice": raw('{"event": "warning", "message": "a", "message": "b"}\\n')
        if mode == "unknown": raw('{"event": "wrong"}\\n')
        if mode == "not of it": tell.observe("a", "b")
        if mode == "a number": tell.expect("a", 1)
        if mode == "more": raw('{"event": "done", "more": 1}\\n')
        if mode != "nothing":
            with self.open_stream(request, tell, "text") as stream:
                stream.copy([b"all ", b"of it"])
        tell.expect("length", "9")
    def restore(self, request, tell):
        with open(request.work + "/text", "wb") as copy:
            copy.write(open(self.artifact(request, "text").path, "rb").read())
    def verify(self, request, tell):
        tell.observe("length", str(os.path.getsize(request.work + "/text")))
run(Toy())
"""


class Package(WithFolder):
    def setUp(self):
        super().setUp()
        self.program = self.folder / "toy.py"
        self.program.write_text(PROGRAM)

    def host(self, mode=""):
        return FakeHost(here(self.program), self.folder / "host", {"mode": mode})

    def test_its_types_are_the_schemas(self):
        done = subprocess.run([sys.executable, HERE.parent / "generate.py", SCHEMA, "--check"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_good_program_is_proven(self):
        host = self.host()
        backup = host.backup()
        self.assertEqual(backup.artifacts, {"text": b"all of it"})
        self.assertEqual(host.drill(backup), [])
        backup.artifacts["text"] = b"shorter"
        self.assertEqual(host.drill(backup), ["length: 9 at the backup, 7 in the copy"])

    def test_what_breaks_the_contract_is_named(self):
        for mode, problem in (("half", "cut short"), ("not done", "not 'done'"), ("twice", "twice"), ("unknown", "is no event"),
                              ("not of it", "is no event of backup"), ("a number", "is no text"), ("more", "it has no 'more'"),
                              ("nothing", "was planned and not made")):
            with self.subTest(mode), self.assertRaisesRegex(BrokenContract, problem):
                self.host(mode).backup()

    def test_errors_are_told_with_their_code(self):
        done = self.host("temporary").run("backup", "backup", streams=["text"])
        self.assertEqual((done.code, done.error()), (75, "busy"))
        done = self.host("mistake").run("backup", "backup", streams=["text"])
        self.assertEqual((done.code, done.error()), (1, "ZeroDivisionError: division by zero"))
        self.assertIn("Traceback", done.log)

    def test_a_bundle_is_one_file_and_always_the_same(self):
        files = [self.folder / "one", self.folder / "two"]
        for file in files:
            bundle(self.program, file)
        self.assertEqual(files[0].read_bytes(), files[1].read_bytes())
        host = FakeHost([files[0]], self.folder / "host")
        self.assertEqual(host.drill(host.backup()), [])

    def test_it_is_installable(self):
        # No network and no building tools are needed to see that the project is one that pip takes.
        text = pathlib.Path(HERE.parent / "pyproject.toml").read_text()
        for line in ('name = "salvor-action"', 'build-backend = "setuptools.build_meta"', 'where = ["src"]'):
            self.assertIn(line, text)
        self.assertNotIn("dependencies", text)


if __name__ == "__main__":
    unittest.main()
