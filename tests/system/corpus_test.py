"""Backups that earlier versions made are drilled by today's programs, from the recorded stores and repository."""

import json
import pathlib
import shutil
import unittest

from stack import Stack

CORPUS = pathlib.Path(__file__).resolve().parents[1] / "corpus/0.1"


class Corpus(unittest.TestCase):
    def test_a_backup_of_0_1_is_drilled_and_nothing_that_it_lacks_counts_against_it(self):
        stack = Stack(repository=False)
        shutil.copytree(CORPUS / "repository", stack.dir / "vault")
        (stack.dir / "vault/locks").mkdir()
        (stack.dir / "control").mkdir(mode=0o700)
        shutil.copy(CORPUS / "salvor.db", stack.dir / "control/salvor.db")
        (stack.dir / "agent").mkdir(mode=0o700)
        shutil.copy(CORPUS / "agent.db", stack.dir / "agent/agent.db")
        stack.apply_flags = ["--location-moved"]  # it was recorded elsewhere
        with stack:
            unfinished = [r["header"]["name"] for r in json.loads(stack.cli("run", "list", "--active", "-o", "json").stdout)["items"]]
            for run in unfinished:
                self.assertEqual(stack.outcome(run), "FAILED", "its server is not there any more")
            backups = json.loads((CORPUS / "backups.json").read_text())["backups"]
            good = next(b["name"] for b in backups if b["verification"] == "VERIFICATION_PROVEN")
            drill = stack.start_run("drill", "create", "--backup", good)
            self.assertEqual(stack.outcome(drill), "SUCCEEDED", stack.run(drill).get("reason"))
            checks = [c for s in stack.run(drill)["steps"] for c in s.get("result", {}).get("checks", [])]
            self.assertEqual([c for c in checks if c["verdict"] == "Failed"], [])
            self.assertGreater(len([c for c in checks if c["verdict"] == "Passed"]), 5)
            self.assertIn(stack.backup(good)["verification"], ("Proven", "Unverifiable"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
