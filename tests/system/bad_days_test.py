"""Bad days, each with the real programs: processes killed, disks full, passwords wrong, agents cut off.

In each the run ends in the right state with a reason, nothing acknowledged is lost, no truncated snapshot can be
restored from, and nothing is left running (Stack checks the last at its end).
"""

import json
import os
import signal
import subprocess
import tempfile
import unittest

from stack import BIN, Stack, wait_for

LARGE = 1_500_000  # rows: a dump of some 200 MB, long enough to be caught in the middle


def send(number, pids):
    """The signal to each that is still there, and who that was: they may end any time, by themselves or together."""
    reached = []
    for pid in pids:
        try:
            os.kill(pid, number)
            reached.append(pid)
        except ProcessLookupError:
            pass
    return reached


def freeze_in_mid_dump(stack, run, database="shop"):
    """pg_dump of this run, stopped by SIGSTOP once bytes have reached the repository's side."""
    def flowing():
        status = stack.steps(run)[f"db.dump.{database}"]
        return int(status.get("progress", {}).get("bytes_done", status.get("progress", {}).get("bytesDone", 0))) > 1 << 20
    wait_for("bytes to flow", flowing)
    pids = send(signal.SIGSTOP, stack.children("pg_dump"))
    assert pids, "the dump was over before it could be stopped: use more rows"
    return pids


class AgentDies(unittest.TestCase):
    def test_at_every_step_boundary(self):
        with Stack() as stack:
            first = stack.start_run("backup", "create", "shop")
            self.assertEqual(stack.outcome(first), "SUCCEEDED")
            for step in stack.steps(first):
                with self.subTest(boundary=step):
                    run = stack.start_run("backup", "create", "shop")
                    stack.wait_for_step(run, step, "SUCCEEDED", "RUNNING")
                    stack.kill_agent()
                    stack.start_agent()
                    self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
                    self.assertEqual(stack.backup()["run"], run)
                    self.assertEqual(stack.backup()["coverage"], "Complete")
            stack.cli("drill", "create", "--backup", "latest:shop", "--wait")

    def test_in_mid_dump(self):
        with Stack(rows=LARGE) as stack:
            run = stack.start_run("backup", "create", "shop")
            frozen = freeze_in_mid_dump(stack, run)
            stack.kill_agent()
            send(signal.SIGCONT, frozen)
            wait_for("its children to end", lambda: not stack.children("pg_dump", "restic", "salvor-supervise"))
            self.assertEqual(stack.dumps_kept(), [], "restic must not have committed half a dump")
            stack.start_agent()
            self.assertEqual(stack.outcome(run), "SUCCEEDED")
            self.assertGreaterEqual(stack.steps(run)["db.dump.shop"]["attempt"], 2)
            self.assertEqual(stack.locks(), [])
            stack.cli("drill", "create", "--backup", "latest:shop", "--wait")

    def test_in_mid_drill(self):
        with Stack(rows=LARGE) as stack:
            stack.cli("backup", "create", "shop", "--wait")
            run = stack.start_run("drill", "create", "--backup", "latest:shop")
            stack.wait_for_step(run, "db.restore.shop", "RUNNING")
            stack.kill_agent()
            stack.start_agent()
            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            self.assertEqual(stack.backup()["verification"], "Proven")
            self.assertEqual(list((stack.dir / "agent" / "scratch").iterdir()), [])

    def test_what_a_restore_left_goes_when_its_run_is_over(self):
        with Stack() as stack:
            stack.kill_agent()
            (stack.dir / "elsewhere").mkdir()
            left = self.killed_restore(stack, "restore-shop-a")
            exchanged = self.killed_restore(stack, "restore-shop-b")
            exchanged.rename(stack.dir / "taken away")
            exchanged.mkdir()
            (exchanged / "precious").write_text("somebody's\n")
            stack.start_agent()
            wait_for("the folder to be removed", lambda: not left.exists())
            wait_for("the other one to be looked at", lambda: (stack.dir / "agent/restores/restore-shop-b-uploads").read_text() == "")
            self.assertTrue((exchanged / "precious").exists(), "the agent did not make that")
            self.assertTrue((stack.dir / "taken away" / "half").exists())
            self.assertIn("remove it by hand", (stack.dir / "agent.log").read_text())

    @staticmethod
    def killed_restore(stack, run):
        """The folder beside its destination, half full, and the record of it: what a restore has made when its agent
        is killed. The control plane knows no such run, as if it had been over for long."""
        folder = stack.dir / "elsewhere" / f".salvor-restore-{run}"
        folder.mkdir(mode=0o700)
        (folder / "half").write_text("a copy\n")
        facts = folder.stat()
        record = {"phase": "writing", "run": run, "component": "uploads", "prefix": str(stack.dir / "elsewhere"),
                  "folders": [{"name": folder.name, "id": [facts.st_dev, facts.st_ino]}],
                  "places": [{"path": "/uploads", "destination": str(stack.dir / "elsewhere" / "uploads"), "folder": 0,
                              "inside": False, "id": [0, 0]}]}
        restores = stack.dir / "agent" / "restores"
        restores.mkdir(mode=0o700, exist_ok=True)
        (restores / f"{run}-uploads").write_text(json.dumps(record) + "\n")
        return folder

    def test_cut_off_and_back_with_a_result(self):
        with Stack(rows=LARGE) as stack:
            run = stack.start_run("backup", "create", "shop")
            stack.wait_for_step(run, "db.dump.shop", "RUNNING")
            stack.kill_salvord()  # for the agent that is being cut off; the dump goes on
            wait_for("the dump to end without a control plane", lambda: not stack.children("pg_dump"))
            stack.start_salvord()
            self.assertEqual(stack.outcome(run), "SUCCEEDED")
            self.assertEqual(stack.steps(run)["db.dump.shop"]["attempt"], 1, "nothing ran twice")


class ForeignBytes(unittest.TestCase):
    def test_an_error_that_is_no_utf8_does_not_silence_the_agent(self):
        with Stack() as stack:
            stack.sql("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
            stack.sql("SET client_encoding = 'UTF8'; CREATE TABLE größe AS SELECT g AS id, md5(g::text) AS body "
                      f"FROM generate_series(1, {LARGE}) g", "latin")
            stack.apply(stack.declaration().replace("databases: [shop]", "databases: [shop, latin]"))
            run = stack.start_run("backup", "create", "shop")
            frozen = freeze_in_mid_dump(stack, run, "latin")
            stack.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'latin' AND query LIKE 'COPY%'")
            send(signal.SIGCONT, frozen)
            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            self.assertGreaterEqual(stack.steps(run)["db.dump.latin"]["attempt"], 2)
            self.assertIn("gr\\xF6\\xDFe", stack.cli("run", "logs", run).stdout, "what pg_dump said is kept, byte by byte")
            self.assertIn('"connected": true', stack.cli("agent", "list", "-o", "json").stdout)
            stack.cli("drill", "create", "--backup", "latest:shop", "--wait")


class ControlPlaneDies(unittest.TestCase):
    def test_at_every_step_boundary(self):
        with Stack() as stack:
            first = stack.start_run("backup", "create", "shop")
            self.assertEqual(stack.outcome(first), "SUCCEEDED")
            for step in stack.steps(first):
                with self.subTest(boundary=step):
                    run = stack.start_run("backup", "create", "shop")
                    stack.wait_for_step(run, step, "SUCCEEDED", "RUNNING")
                    stack.kill_salvord()
                    stack.start_salvord()
                    self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
                    for status in stack.steps(run).values():
                        self.assertEqual(status["attempt"], 1, f"{status['id']} ran twice")

    def test_together_with_the_agent(self):
        with Stack(rows=LARGE) as stack:
            run = stack.start_run("backup", "create", "shop")
            freeze_in_mid_dump(stack, run)
            stack.kill_salvord()
            stack.kill_agent()
            send(signal.SIGCONT, stack.children("pg_dump"))
            wait_for("all children to end", lambda: not stack.children("pg_dump", "restic", "salvor-supervise"))
            stack.start_salvord()
            stack.start_agent()
            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            self.assertEqual(stack.locks(), [])


class ToolsDie(unittest.TestCase):
    def test_restic_is_killed(self):
        with Stack(rows=LARGE) as stack:
            run = stack.start_run("backup", "create", "shop")
            frozen = freeze_in_mid_dump(stack, run)
            send(signal.SIGKILL, stack.children("restic"))
            send(signal.SIGCONT, frozen)
            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            self.assertGreaterEqual(stack.steps(run)["db.dump.shop"]["attempt"], 2)
            self.assertEqual(stack.locks(), [])
            stack.cli("drill", "create", "--backup", "latest:shop", "--wait")

    def test_pg_dump_is_killed(self):
        with Stack(rows=LARGE) as stack:
            run = stack.start_run("backup", "create", "shop")
            send(signal.SIGKILL, freeze_in_mid_dump(stack, run))
            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            self.assertEqual(len(stack.dumps_kept()), 1, "one whole dump, and no half one")
            stack.cli("drill", "create", "--backup", "latest:shop", "--wait")

    def test_the_server_restarts_in_mid_dump(self):
        with Stack(rows=LARGE) as stack:
            run = stack.start_run("backup", "create", "shop")
            frozen = freeze_in_mid_dump(stack, run)
            stack.stop_postgres()
            stack.start_postgres_again()
            send(signal.SIGCONT, frozen)
            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            self.assertGreaterEqual(stack.steps(run)["db.dump.shop"]["attempt"], 2)
            self.assertEqual(len(stack.dumps_kept()), 1, "one whole dump, and no half one")

    def test_the_server_stops_in_mid_dump_and_stays_away(self):
        with Stack(rows=LARGE) as stack:
            run = stack.start_run("backup", "create", "shop")
            frozen = freeze_in_mid_dump(stack, run)
            stack.stop_postgres()
            send(signal.SIGCONT, frozen)
            self.assertEqual(stack.outcome(run), "FAILED")
            self.assertIn("db.dump.shop", stack.run(run)["reason"])
            backup = stack.backup()
            self.assertEqual(backup["coverage"], "Partial", "the files are there, and what is missing is named")
            self.assertEqual([m["title"] for m in backup["manifest"]["missing"]], ["database shop"])
            self.assertEqual(stack.dumps_kept(), [])
            waited = stack.cli("backup", "show", "latest:shop")
            self.assertIn("database shop", waited.stdout)


class RepositoryIsInTrouble(unittest.TestCase):
    def test_wrong_password(self):
        with Stack() as stack:
            stack.cli("backup", "create", "shop", "--wait")
            stack.password.write_text("another one\n")
            done = stack.cli("backup", "create", "shop", "--wait", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("password", done.stdout + done.stderr)
            self.assertNotIn("another one", done.stdout + done.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "mounting a small file system needs root")
    def test_disk_full(self):
        with Stack() as stack:
            (stack.uploads / "large").write_bytes(os.urandom(24 << 20))
            small = stack.dir / "small"
            small.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", small], check=True)
            try:
                stack.apply(stack.declaration(repository=small / "vault"))
                done = stack.cli("backup", "create", "shop", "--wait", check=False)
                self.assertIn(done.returncode, (1, 3))
                self.assertIn("space", done.stdout + done.stderr)
            finally:
                subprocess.run(["umount", "-l", small], check=True)

    def test_a_dump_cut_short_by_one_byte_is_not_restored_from(self):
        with Stack() as stack:
            stack.cli("backup", "create", "shop", "--wait")
            manifest = stack.backup()["manifest"]
            dump = next(a for a in manifest["artifacts"] if a["kind"] == "PostgresDump")
            # The same snapshot again, one byte shorter, under the same tags; the original forgotten.
            raw = subprocess.run(["restic", "-r", stack.repository, "--no-cache", "--password-file", stack.password, "dump",
                                  dump["snapshot"], dump["path"]], capture_output=True, check=True).stdout
            tree = next(s for s in stack.snapshots() if s["id"] == dump["snapshot"])
            tags = [a for t in tree["tags"] for a in ("--tag", t)]
            subprocess.run(["restic", "-r", stack.repository, "--no-cache", "--password-file", stack.password, "backup", "--stdin",
                            "--stdin-filename", dump["path"], "--host", tree["hostname"], *tags], input=raw[:-1], check=True,
                           capture_output=True)
            stack.restic("forget", dump["snapshot"])
            done = stack.cli("drill", "create", "--backup", "latest:shop", "--wait", check=False)
            self.assertEqual(done.returncode, 1)
            name = manifest["backup"]
            self.assertEqual(stack.backup(name)["verification"], "Disproven")
            refused = stack.cli("restore", "create", "--backup", name, "--to", "shop", check=False)
            self.assertIn("is disproven by", refused.stderr)
            self.assertIn("--accept-disproven", refused.stderr)
            self.assertIn("no usable backup", stack.cli("backup", "show", "latest:shop", check=False).stderr)


class Cancelling(unittest.TestCase):
    def test_a_running_dump_is_really_stopped(self):
        with Stack(rows=LARGE) as stack:
            run = stack.start_run("backup", "create", "shop")
            frozen = freeze_in_mid_dump(stack, run)
            stack.cli("run", "cancel", run, "--reason", "wrong one")
            send(signal.SIGCONT, frozen)
            self.assertEqual(stack.outcome(run), "CANCELLED")
            self.assertEqual(stack.children("pg_dump", "restic"), [])
            self.assertEqual(stack.dumps_kept(), [])
            self.assertEqual(stack.locks(), [])

    def test_a_drill_is_cleaned_up(self):
        with Stack(rows=LARGE) as stack:
            stack.cli("backup", "create", "shop", "--wait")
            run = stack.start_run("drill", "create", "--backup", "latest:shop")
            stack.wait_for_step(run, "db.restore.shop", "RUNNING")
            stack.cli("run", "cancel", run)
            self.assertEqual(stack.outcome(run), "CANCELLED")
            self.assertEqual(list((stack.dir / "agent" / "scratch").iterdir()), [])


class BadInput(unittest.TestCase):
    def test_ten_mistakes_are_ten_problems(self):
        with Stack() as stack:
            before = stack.cli("get", "Application", "-o", "yaml").stdout
            path = stack.dir / "bad.yaml"
            path.write_text("""apiVersion: salvor.dev/v1
kind: Application
metadata: {name: Shop_1}
spec:
  environmnt: local
  environment: nowhere
  components:
  - name: db
    postgres:
      connection: {socketDirectory: relative, port: "x"}
      databases: []
      capture: stream
      expectations: {countBudget: soon}
  - name: db
    disk: {paths: [etc, /srv/../etc]}
""")
            done = stack.cli("apply", "-f", path, check=False)
            self.assertEqual(done.returncode, 8)
            problems = [line.split(": ")[:2] for line in done.stderr.splitlines() if "bad.yaml:" in line]
            self.assertEqual([(at.rpartition("bad.yaml:")[2], field) for at, field in problems], [
                ("3:12", "metadata.name"),
                ("5:3", "spec.environmnt"),
                ("6:3", "spec.environment"),
                ("10:20", "spec.components[0].postgres.connection.socketDirectory"),
                ("10:53", "spec.components[0].postgres.connection.port"),
                ("12:16", "spec.components[0].postgres.capture"),
                ("13:22", "spec.components[0].postgres.expectations.countBudget"),
                ("14:5", "spec.components[1].name"),
                ("15:20", "spec.components[1].disk.paths[0]"),
                ("15:25", "spec.components[1].disk.paths[1]"),
            ], done.stderr)
            self.assertEqual(stack.cli("get", "Application", "-o", "yaml").stdout, before)

    def test_listening_beyond_the_machine_without_tls_is_refused(self):
        with Stack() as stack:
            done = subprocess.run([BIN / "salvord", "--state-directory", stack.dir / "other", "--listen", "0.0.0.0:0"],
                                  capture_output=True, text=True, check=False, timeout=30)
            self.assertEqual(done.returncode, 1)
            self.assertIn("unencrypted", done.stderr)

    def test_metrics_beyond_the_machine_are_refused_unless_that_is_said(self):
        with Stack() as stack:
            at = f"0.0.0.0:{stack.ports[0]}"  # salvord's own, on loopback: nobody else has it
            done = subprocess.run([BIN / "salvord", "--state-directory", stack.dir / "other", "--listen", "127.0.0.1:0",
                                   "--metrics-listen", at], capture_output=True, text=True, check=False, timeout=30)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"metrics on {at} would be reachable beyond this machine", done.stderr)
            done = subprocess.run([BIN / "salvor-agent", "--name", "host-z", "--environment", "local", "--server",
                                   stack.server, "--token-file", stack.agent_token, "--state-directory",
                                   stack.dir / "agent-z", "--metrics-listen", at],
                                  capture_output=True, text=True, check=False, timeout=30)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"metrics on {at} would be reachable beyond this machine", done.stderr)
            self.assertIn("salvor_agent_open_obligations 0", stack.metrics("agent"))

    def test_an_agent_is_named_or_has_a_node_that_it_is_named_after(self):
        with tempfile.TemporaryDirectory() as folder:
            def ended(*options):
                done = subprocess.run([BIN / "salvor-agent", "--environment", "local", "--server", f"unix://{folder}/s",
                                       "--token-file", f"{folder}/t", "--state-directory", f"{folder}/a", *options],
                                      capture_output=True, text=True, check=False, timeout=30)
                return done.returncode, done.stdout + done.stderr
            self.assertEqual(ended()[0], 2)
            self.assertEqual(ended("--name", "a", "--node", "b")[0], 2)
            of_a_node = ["--runtime", "kubernetes", "--kind", "node"]
            for options, words in ((["--node", "b"], "--kind node"), (["--node", "B_", *of_a_node], "the name of a node")):
                code, said = ended(*options)
                self.assertEqual(code, 1, said)
                self.assertIn(words, said)

    def test_a_call_without_the_token_is_refused(self):
        with Stack() as stack:
            (stack.dir / "wrong.token").write_text("0" * 64 + "\n")
            (stack.dir / "wrong.token").chmod(0o600)
            done = stack.cli("run", "list", "--token-file", stack.dir / "wrong.token", check=False)
            self.assertEqual(done.returncode, 4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
