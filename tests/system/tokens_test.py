"""Agents' and people's tokens between the real programs, and what one sees who is not let in."""

import os
import unittest

from stack import BIN, Stack, wait_for


class AgentTokens(unittest.TestCase):
    def make(self, stack, name, agent):
        """The new token of that name replaces the agent's, as somebody on its host would do it."""
        path = stack.dir / f"{name}.token"
        stack.cli("agent-token", "create", name, "--environment", "local", "--agent", agent, "--output-file", path)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        os.replace(path, stack.agent_token)

    def wait_for_log(self, stack, text):
        wait_for(f"'{text}' in the agent's log", lambda: text in (stack.dir / "agent.log").read_text())

    def test_an_agent_is_let_in_as_what_its_token_says_and_as_long_as_it_is_valid(self):
        with Stack() as stack:
            stack.kill_agent()
            stack.wait_for_no_agent()
            stack.agent_token = stack.dir / "agent-a.token"
            self.make(stack, "of-another", "host-b")
            stack.start_agent(wait=False)
            self.wait_for_log(stack, "token of-another is for the agent host-b, and this is host-a; trying again")
            self.wait_for_log(stack, "salvor agent-token create NAME --environment local --agent host-a")
            self.assertIsNone(stack.agent.poll(), "it stays, and takes the next token that it is given")
            self.make(stack, "hosts", "host-*")
            stack.wait_for_agent()
            stack.cli("backup", "create", "shop", "--wait")

            stack.cli("agent-token", "revoke", "hosts")
            stack.wait_for_no_agent()
            self.wait_for_log(stack, "the token hosts was revoked; trying again")
            late = stack.cli("backup", "create", "shop", "--wait", "--start-within", "1s", check=False)
            self.assertEqual(late.returncode, 1, late.stderr)
            self.assertIn("not started within 1.0s: no agent serves environment local", late.stderr)

            live = stack._spawn("live.log", [BIN / "salvor", "backup", "create", "shop", "--wait"],
                                env={**os.environ, "SALVOR_SERVER": stack.server, "NO_COLOR": "1",
                                     "SALVOR_TOKEN_FILE": str(stack.dir / "control/api.token")})
            try:
                waits = "waiting: no agent serves environment local since "
                wait_for("the live view to say what it waits for", lambda: waits in (stack.dir / "live.log").read_text())
                self.make(stack, "again", "host-a")
                self.assertEqual(live.wait(120), 0)
            finally:
                live.kill()
                live.wait()
            said = (stack.dir / "live.log").read_text().count("waiting: no agent serves")
            self.assertEqual(said, 1, "a line for each change, and no more")
            names = stack.cli("agent-token", "list", "-o", "name").stdout.split()
            self.assertEqual(names, ["again", "hosts", "of-another"])

    def test_people_do_not_come_with_an_agents_token(self):
        with Stack() as stack:
            for token in ("web.token", "control/agent.token"):
                if token == "web.token":
                    stack.cli("agent-token", "create", "web", "--environment", "local", "--agent", "host-a",
                              "--output-file", stack.dir / token)
                refused = stack.cli("run", "list", "--token-file", stack.dir / token, check=False)
                self.assertEqual(refused.returncode, 5, refused.stderr)
                self.assertIn("is an agent's, and this is for people", refused.stderr)


class PeoplesTokens(unittest.TestCase):
    def make(self, stack, name, token_class):
        path = stack.dir / f"{name}.token"
        stack.cli("token", "create", name, "--class", token_class, "--output-file", path)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        return path

    def wait_for_log(self, stack, text):
        wait_for(f"'{text}' in salvord's log", lambda: text in (stack.dir / "salvord.log").read_text())

    def test_each_class_does_what_it_may_and_its_name_is_on_record(self):
        with Stack() as stack:
            viewer, operator = self.make(stack, "zoe", "view"), self.make(stack, "anna", "operate")
            self.assertEqual(stack.cli("run", "list", "--token-file", viewer, check=False).returncode, 0)
            refused = stack.cli("backup", "create", "shop", "--token-file", viewer, check=False)
            self.assertEqual(refused.returncode, 5, refused.stderr)
            self.assertIn("needs a token of class operate, and zoe is of class view", refused.stderr)
            self.assertIn("salvor token create NAME --class operate", refused.stderr)
            self.wait_for_log(stack, "audit: zoe asked for CreateBackup on shop, which failed")

            run = stack.start_run("backup", "create", "shop", "--token-file", operator)
            self.assertEqual(stack.outcome(run), "SUCCEEDED")
            self.assertEqual(stack.run(run)["header"]["requestedBy"], "anna")
            self.wait_for_log(stack, f"audit: anna did CreateBackup on {run}")
            # A name that a caller made up ends no line of the log, and begins none.
            stack.cli("run", "cancel", "x\naudit: root did DeleteObject on Location/main", "--token-file", operator, check=False)
            self.wait_for_log(stack, "audit: anna asked for CancelRun on x%0Aaudit:")
            self.assertNotRegex((stack.dir / "salvord.log").read_text(), r"(?m)^audit:")
            for refused in (stack.cli("token", "create", "me", "--class", "administer", "--token-file", operator, check=False),
                            stack.cli("token", "list", "--token-file", operator, check=False)):
                self.assertEqual(refused.returncode, 5, refused.stderr)

    def test_root_is_revoked_once_there_is_another_and_stays_so(self):
        with Stack() as stack:
            alone = stack.cli("token", "revoke", "root", check=False)
            self.assertEqual(alone.returncode, 7, alone.stderr)
            self.assertIn("salvor token create NAME --class administer", alone.stderr)
            berta = self.make(stack, "berta", "administer")
            stack.cli("token", "revoke", "root", "--token-file", berta)
            stack.kill_salvord()
            stack.start_salvord()
            refused = wait_for("an answer", lambda: (done := stack.cli("run", "list", check=False)).returncode != 10 and done)
            self.assertEqual(refused.returncode, 4, refused.stderr)
            self.assertIn("the token root was revoked", refused.stderr)
            listed = stack.cli("token", "list", "--token-file", berta).stdout
            self.assertRegex(listed, r"berta +administer +valid")
            self.assertRegex(listed, r"root +administer +revoked")

    def test_a_state_directory_of_an_earlier_version_keeps_its_token(self):
        with Stack() as stack:
            token = stack.dir / "control/api.token"
            stack.kill_salvord()
            old = "a1" * 32  # as earlier versions wrote it
            token.write_text(old + "\n")
            stack.start_salvord()
            wait_for("salvord to answer", lambda: stack.cli("run", "list", check=False).returncode == 0)
            self.assertEqual(token.read_text(), old + "\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
