"""What people say about backups: that a doubt is unfounded, and that it was only a check that was wrong."""

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
