"""The finding of a drill stands beside the manifest in the Location, for who has nothing but restic."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import unittest

from stack import Stack

WARNING = "kept by the control plane only"


class Verification(unittest.TestCase):
    def kept(self, stack, backup):
        """The documents about a backup, the oldest first, by restic alone."""
        found = sorted(stack.snapshots(f"salvor,kind=verification,backup={backup}"), key=lambda s: s["time"])
        self.assertEqual([s["paths"] for s in found], [["/verification.json"]] * len(found))
        return [json.loads(stack.restic("dump", "--no-lock", s["id"], "/verification.json").stdout) for s in found]

    def test_proven_and_disproven_are_read_with_restic_alone(self):
        with Stack() as stack:
            stack.apply(stack.declaration().replace('expect: "2"', 'expect: "two"'))
            stack.cli("backup", "create", "shop", "--wait")
            backup = stack.backup()["name"]
            bad = stack.start_run("drill", "create", "--backup", backup)
            self.assertEqual(stack.outcome(bad), "SUCCEEDED")
            stack.apply(stack.declaration())
            good = stack.start_run("drill", "create", "--backup", backup, "--checks", "current")
            self.assertEqual(stack.outcome(good), "SUCCEEDED")
            known = [(v["run"], v["verdict"], v.get("reason", "")) for v in stack.backup(backup)["verifications"]]
            self.assertEqual([k[:2] for k in known], [(bad, "Disproven"), (good, "Proven")])
            self.assertNotIn(WARNING, stack.cli("run", "show", good).stdout)
            stack.kill_agent()
            stack.kill_salvord()
            shutil.rmtree(stack.dir / "control")  # nothing of ours is left but the Location
            kept = self.kept(stack, backup)
            said = [(k["verification"]["run"], k["verification"]["verdict"].removeprefix("VERDICT_").capitalize(),
                     k["verification"].get("reason", "")) for k in kept]
            self.assertEqual(said, known)
            self.assertIn("newest-migration", json.dumps(kept[0]["notPassed"]))
            self.assertNotIn("notPassed", kept[1])
            manifest = stack.snapshots(f"salvor,kind=manifest,backup={backup}")[0]
            text = stack.restic("dump", "--no-lock", manifest["id"], "/manifest.json").stdout
            for one in kept:
                self.assertEqual(one["verification"]["backup"], backup)
                self.assertEqual(one["application"], "shop")
                self.assertEqual(one["manifestSnapshot"], manifest["id"])
                self.assertEqual(one["manifestSha256"], hashlib.sha256(text.encode()).hexdigest())

    def test_an_agent_that_dies_while_it_keeps_the_proof_keeps_it_once(self):
        with Stack() as stack:
            stack.cli("backup", "create", "shop", "--wait")
            backup = stack.backup()["name"]
            drill = stack.start_run("drill", "create", "--backup", backup)
            stack.wait_for_step(drill, "verification.write", "RUNNING", "SUCCEEDED")
            stack.kill_agent()
            stack.start_agent()
            self.assertEqual(stack.outcome(drill), "SUCCEEDED")
            self.assertEqual([k["verification"]["verdict"] for k in self.kept(stack, backup)], ["VERDICT_PROVEN"])

    @contextlib.contextmanager
    def read_only(self, folder):
        if os.geteuid() != 0:
            modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*")) if path.is_dir()}
            for path, mode in modes.items():
                path.chmod(mode & ~0o222)
            try:
                yield
            finally:
                for path, mode in modes.items():
                    path.chmod(mode)
            return
        if subprocess.run(["mount", "--bind", folder, folder], capture_output=True, check=False).returncode != 0:
            self.skipTest("nothing can be mounted here")
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
            yield
        finally:
            subprocess.run(["umount", "-l", folder], check=True)

    def test_where_nothing_can_be_written_the_verdict_stays_and_says_where_it_is(self):
        with Stack() as stack:
            stack.cli("backup", "create", "shop", "--wait")
            backup = stack.backup()["name"]
            before = len(stack.snapshots())
            with self.read_only(stack.repository):
                drilled = stack.cli("drill", "create", "--backup", backup, "--wait")  # exit code 0: it is proven
                self.assertIn("verdict: proven", drilled.stdout)
                self.assertIn(WARNING, " ".join(drilled.stdout.split()))
            self.assertEqual(stack.backup(backup)["verification"], "Proven")
            drill = stack.backup(backup)["provenBy"]
            self.assertEqual(stack.run(drill)["verdict"], "Proven")
            self.assertIn(WARNING, " ".join(stack.cli("run", "show", drill).stdout.split()))
            self.assertIn("cannot be written", stack.steps(drill)["verification.write"]["result"]["error"]["message"])
            self.assertEqual(len(stack.snapshots()), before)
            # The next one is kept again.
            stack.cli("drill", "create", "--backup", backup, "--wait")
            self.assertEqual([k["verification"]["verdict"] for k in self.kept(stack, backup)], ["VERDICT_PROVEN"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
