"""A backup that is deleted is gone, with all that it kept and nothing else; nothing is restored from what goes."""

import json
import subprocess
import unittest

from stack import Stack, wait_for


def said(done):
    return " ".join((done.stdout + done.stderr).split())


class BackupDelete(unittest.TestCase):
    def back_up(self, stack):
        """The name of a new backup."""
        stack.cli("backup", "create", "shop", "--wait")
        return stack.backup()["name"]

    def snapshots_of(self, stack, backup):
        return {s["id"] for s in stack.snapshots(f"backup={backup}")}

    def state(self, stack, backup):
        return stack.backup(backup).get("deletion", {}).get("state", "")

    def test_one_of_two_goes_and_the_other_is_proven(self):
        with Stack() as stack:
            first, second = self.back_up(stack), self.back_up(stack)
            stack.cli("drill", "create", "--backup", first, "--wait")
            stack.cli("drill", "create", "--backup", second, "--wait")
            kept = self.snapshots_of(stack, second)
            self.assertGreater(len(self.snapshots_of(stack, first)), 3)
            planned = stack.cli("backup", "delete", first, "--dry-run")
            self.assertIn("in location vault", said(planned))
            unasked = stack.cli("backup", "delete", first, check=False)
            self.assertEqual(unasked.returncode, 2, said(unasked))
            self.assertIn("--yes", said(unasked))
            self.assertEqual(self.state(stack, first), "")
            done = stack.cli("backup", "delete", first, "--yes", "--wait")
            self.assertIn("complete", done.stdout)
            self.assertEqual(self.snapshots_of(stack, first), set())
            self.assertEqual({s["id"] for s in stack.snapshots()}, kept)
            self.assertEqual(self.state(stack, first), "Deleted")
            self.assertEqual(stack.backup(first)["deletion"]["by"], "root")
            self.assertNotIn(first, stack.cli("backup", "list").stdout)
            self.assertIn(first, stack.cli("backup", "list", "--all").stdout)
            for words in (["drill", "create", "--backup", first], ["backup", "delete", first, "--yes"]):
                refused = stack.cli(*words, check=False)
                self.assertEqual(refused.returncode, 7, words)
                self.assertIn("deleted", said(refused))
            self.assertIn("audit: root did DeleteBackup on " + first, (stack.dir / "salvord.log").read_text())
            drilled = stack.cli("drill", "create", "--backup", second, "--wait")
            self.assertIn("verdict: proven", drilled.stdout)
            stack.kill_salvord()
            stack.start_salvord()
            self.assertEqual(self.state(stack, first), "Deleted")
            self.assertEqual(stack.locks(), [])

    def test_an_agent_that_is_killed_over_it_goes_on_and_a_strangers_snapshot_stays(self):
        with Stack() as stack:
            first, second = self.back_up(stack), self.back_up(stack)
            kept = self.snapshots_of(stack, second)
            # A backup that waits for its input holds a lock that restic's forget can't get past.
            command = ["restic", "-r", stack.repository, "--no-cache", "--password-file", stack.password, "backup",
                       "--stdin", "--tag", "stranger"]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as stranger:
                wait_for("the stranger's lock", stack.locks)
                run = stack.start_run("backup", "delete", first, "--yes")
                stack.wait_for_step(run, "location.forget", "RUNNING", "BACKOFF")
                self.assertEqual(self.state(stack, first), "Deleting")
                refused = stack.cli("restore", "create", "--backup", first, "--to", "shop", check=False)
                self.assertEqual(refused.returncode, 7)
                self.assertIn(f"is being deleted by {run}", said(refused))
                stack.kill_agent()
                stranger.communicate(b"of nobody's business")
            stack.start_agent()
            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            self.assertEqual(self.snapshots_of(stack, first), set())
            left = stack.snapshots()
            self.assertEqual({s["id"] for s in left if "stranger" not in (s.get("tags") or [])}, kept)
            self.assertEqual(len(left), len(kept) + 1)

    def test_what_a_run_reads_is_not_deleted_and_what_is_deleted_is_not_read(self):
        with Stack() as stack:
            first, second = self.back_up(stack), self.back_up(stack)
            before = {s["id"] for s in stack.snapshots()}
            stack.kill_agent()  # so that runs wait
            stack.wait_for_no_agent()
            drill = stack.start_run("drill", "create", "--backup", first)
            refused = stack.cli("backup", "delete", first, "--yes", check=False)
            self.assertEqual(refused.returncode, 7)
            self.assertIn(f"{drill} reads it", said(refused))
            stack.cli("run", "cancel", drill)
            stack.outcome(drill)
            delete = stack.start_run("backup", "delete", first, "--yes")
            self.assertEqual(stack.cli("drill", "create", "--backup", first, check=False).returncode, 7)
            stack.kill_salvord()
            stack.start_salvord()
            self.assertEqual(stack.cli("drill", "create", "--backup", first, check=False).returncode, 7)
            # One that never began leaves the backup as it was.
            stack.cli("run", "cancel", delete)
            stack.outcome(delete)
            self.assertEqual(self.state(stack, first), "")
            stack.start_agent()
            self.assertEqual({s["id"] for s in stack.snapshots()}, before)
            drilled = stack.cli("drill", "create", "--backup", first, "--wait")
            self.assertIn("verdict: proven", drilled.stdout)
            self.assertEqual(stack.backup()["name"], second)

    def test_the_last_one_goes_by_name_alone(self):
        with Stack() as stack:
            only = self.back_up(stack)
            stack.cli("drill", "create", "--backup", only, "--wait")
            refused = stack.cli("backup", "delete", only, "--yes", check=False)
            self.assertEqual(refused.returncode, 7)
            for words in ("the last proven backup of shop", "the last backup that shop could be restored from",
                          "--last-proven", "--last-usable"):
                self.assertIn(words, said(refused))
            self.assertEqual(stack.cli("backup", "delete", only, "--yes", "--last-proven", check=False).returncode, 7)
            by_reference = stack.cli("backup", "delete", "latest:shop", "--yes", check=False)
            self.assertNotEqual(by_reference.returncode, 0)
            stack.cli("backup", "delete", only, "--yes", "--wait", "--last-proven", "--last-usable")
            self.assertEqual(stack.snapshots(), [])

    def test_what_is_gone_already_is_said_and_a_location_that_is_away_is_not_called_empty(self):
        with Stack() as stack:
            first, _ = self.back_up(stack), self.back_up(stack)
            [dump] = [s["id"] for s in stack.dumps_kept() if f"backup={first}" in s["tags"]]
            stack.restic("forget", dump)
            away = stack.dir / "away"
            stack.repository.rename(away)
            failed = stack.cli("backup", "delete", first, "--yes", "--wait", check=False)
            self.assertEqual(failed.returncode, 1, said(failed))
            self.assertEqual(self.state(stack, first), "Failed")
            self.assertIn("delete failed", stack.cli("backup", "list").stdout)
            away.rename(stack.repository)
            done = stack.cli("backup", "delete", first, "--yes", "--wait")
            self.assertIn("1 were gone already", said(done))
            self.assertEqual(self.snapshots_of(stack, first), set())
            self.assertTrue(json.loads(stack.cli("run", "list", "--kind", "delete", "-o", "json").stdout)["items"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
