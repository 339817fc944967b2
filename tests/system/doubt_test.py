"""People say things about backups: that a doubt is unfounded, and that it was only a check that was wrong."""

import json
import unittest

from stack import Stack


class Doubt(unittest.TestCase):
    def test_a_backup_that_shrank_is_proven_once_somebody_accepts_it(self):
        with Stack() as stack:
            stack.cli("backup", "create", "shop", "--wait")
            whole = stack.backup()["name"]
            stack.sql("DELETE FROM orders WHERE id > 100", "shop")
            stack.cli("backup", "create", "shop", "--wait")
            shrunk = stack.backup()["name"]
            self.assertIn("had 2002 in backup", stack.backup()["doubts"][0])
            drilled = stack.cli("drill", "create", "--backup", shrunk, "--wait", check=False)
            self.assertEqual(drilled.returncode, 3, drilled.stderr)
            self.assertEqual(stack.backup(shrunk)["verification"], "Unverifiable")
            # Wrong use changes nothing, and says what is wrong.
            for words, code in ((["backup", "accept", shrunk], 2), (["backup", "accept", shrunk, "--reason", " "], 2),
                                (["backup", "accept", whole, "--reason", "archived"], 7),
                                (["backup", "accept", "shop-20260101-000000-0000", "--reason", "archived"], 6)):
                refused = stack.cli(*words, check=False)
                self.assertEqual(refused.returncode, code, f"{words}: {refused.stderr}")
            self.assertNotIn("acceptance", stack.backup(shrunk))
            self.assertNotIn("acceptance", stack.backup(whole))
            stack.cli("backup", "accept", "latest:shop", "--reason", "archived")
            stack.kill_salvord()
            stack.start_salvord()
            stack.wait_for_agent()
            self.assertEqual(stack.backup(shrunk)["acceptance"]["reason"], "archived")
            stack.cli("drill", "create", "--backup", shrunk, "--wait")
            self.assertEqual(stack.backup(shrunk)["verification"], "Proven")

    def verdicts(self, stack):
        """The phase of every run, by its name, as the list has it."""
        runs = json.loads(stack.cli("run", "list", "-o", "json").stdout)["items"]
        return {run["header"]["name"]: run.get("verdict") for run in runs}

    def test_every_run_keeps_the_verdict_that_it_ended_with(self):
        with Stack() as stack:
            stack.apply(stack.declaration().replace('expect: "2"', 'expect: "two"'))
            stack.cli("backup", "create", "shop", "--wait")
            backup = stack.backup()["name"]
            bad = stack.start_run("drill", "create", "--backup", backup)
            self.assertEqual(stack.outcome(bad), "SUCCEEDED", "its steps did what they should")
            stack.apply(stack.declaration())
            good = stack.start_run("drill", "create", "--backup", backup, "--checks", "current")
            stack.outcome(good)
            for when in ("at once", "after a kill"):
                with self.subTest(when):
                    found = self.verdicts(stack)
                    self.assertEqual((found[bad], found[good]), ("Disproven", "Proven"), "the newer drill does not change what the older found")
                    self.assertEqual(stack.run(bad)["verdict"], "Disproven")
                    self.assertEqual(stack.run(bad)["verdictReason"], [r for r in json.loads(stack.cli("run", "list", "-o", "json").stdout)["items"]
                                                                       if r["header"]["name"] == bad][0]["verdictReason"])
                    self.assertRegex(stack.cli("run", "list").stdout, rf"{bad} +drill +disproven ")
                    self.assertRegex(stack.cli("run", "show", bad).stdout, r"verdict +disproven in ")
                    watched = stack.cli("run", "watch", bad, check=False)
                    self.assertEqual(watched.returncode, 1)
                    self.assertNotIn("succeeded in", watched.stdout)
                    self.assertIn("run disproven", watched.stderr)
                    self.assertEqual([(v["run"], v["verdict"]) for v in stack.backup(backup)["verifications"]],
                                     [(bad, "Disproven"), (good, "Proven")])
                    shown = stack.cli("backup", "show", backup).stdout
                    self.assertRegex(shown, rf"disproven +{bad} ")
                    self.assertRegex(shown, rf"proven +{good} ")
                stack.kill_salvord()
                stack.start_salvord()
                stack.wait_for_agent()

    def test_a_check_that_was_wrong_is_replaced_by_todays(self):
        with Stack() as stack:
            stack.apply(stack.declaration().replace('expect: "2"', 'expect: "two"'))
            stack.cli("backup", "create", "shop", "--wait")
            backup = stack.backup()["name"]
            drilled = stack.cli("drill", "create", "--backup", backup, "--wait", check=False)
            self.assertEqual(drilled.returncode, 1, drilled.stderr)
            stack.apply(stack.declaration())
            # The checks of its day are still what it is judged by.
            drilled = stack.cli("drill", "create", "--backup", backup, "--wait", check=False)
            self.assertEqual(drilled.returncode, 1, drilled.stderr)
            self.assertEqual(stack.backup(backup)["verification"], "Disproven")
            wrong = stack.cli("drill", "create", "--backup", backup, "--checks", "todays", check=False)
            self.assertEqual(wrong.returncode, 2, wrong.stderr)
            stack.cli("drill", "create", "--backup", backup, "--checks", "current", "--wait")
            self.assertEqual(stack.backup(backup)["verification"], "Proven")


if __name__ == "__main__":
    unittest.main(verbosity=2)
