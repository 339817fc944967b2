"""The words of the cluster's tests when they waited in vain. Needs no cluster."""

import ast
import unittest
from pathlib import Path

from support import wait_for


class Waits(unittest.TestCase):
    def test_one_in_vain_says_what_there_was_instead(self):
        with self.assertRaisesRegex(AssertionError, r"waited 0 s in vain for the end; there was: \['Queued'\]"):
            wait_for("the end", lambda: False, 0, lambda: ["Queued"])

    def test_what_cannot_be_told_does_not_hide_what_was_waited_for(self):
        def fails() -> str:
            raise AssertionError("kubectl get pods: refused")
        told = "in vain for the end; there was: .not to be told: kubectl get pods: refused"
        with self.assertRaisesRegex(AssertionError, told):
            wait_for("the end", lambda: False, 0, fails)

    def test_what_came_while_nobody_could_ask_is_seen(self):
        answers = iter(["", "there"])
        self.assertEqual(wait_for("it", lambda: next(answers), -1, lambda: "nothing"), "there")

    def test_every_wait_of_the_suite_tells(self):
        for file in Path(__file__).parent.glob("*.py"):
            for call in ast.walk(ast.parse(file.read_text())):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "wait_for":
                    self.assertEqual(len(call.args) + len(call.keywords), 4, f"{file.name}:{call.lineno}")

    def test_kubectl_waits_for_nothing_by_itself(self):
        for file in Path(__file__).parent.glob("*.py"):
            for text in ("--for=condition", '"wait"'):
                if file != Path(__file__):
                    self.assertNotIn(text, file.read_text(), f"{file.name}: of what kubectl waits for it tells nothing")


if __name__ == "__main__":
    unittest.main()
