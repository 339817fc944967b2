"""Drivers' own programs through the whole system: from a declaration to a proven backup, and their bad days."""

import glob
import hashlib
import json
import os
import pathlib
import sys
import unittest

from stack import Stack, environment_of, processes, wait_for

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "tools/python/salvor-action"
sys.path += [str(PACKAGE / "src"), str(PACKAGE / "tests")]
from support import SUFFIX_OF_TESTS, Directory, RedisServer, give_to  # noqa: E402
from salvor_action.bundle import bundle  # noqa: E402

# Writes its setting `text` as a stream; where a file `hold` is beside its text's mark, it waits until that is gone.
TOY = """#!/usr/bin/python3
import json, os, pathlib, signal, sys, time
request = json.load(sys.stdin)
verb, settings = request["verb"], request["settings"]
events = os.fdopen(int(os.environ["SALVOR_EVENTS_FD"]), "w")
def tell(event, **fields):
    events.write(json.dumps({"event": event, **fields}) + "\\n")
    events.flush()
def here(name):
    return (pathlib.Path(settings["folder"]) / name).exists()
if verb == "plan":
    if request["operation"] == "backup" and not here("nothing"):
        tell("artifact", name="text", kind="stream")
if verb == "backup" and not here("nothing"):
    text = settings["text"].encode()
    with os.fdopen(request["streams"]["text"], "wb") as stream:
        stream.write(text)
        stream.flush()
        print("SALVOR-TOY-WRITES", flush=True)
        while here("hold"):
            time.sleep(0.05)
    if here("killed"):
        os.kill(os.getpid(), signal.SIGKILL)
    if here("busy") and request["attempt"] == 1:
        tell("error", message="the toy is busy")
        sys.exit(75)
    tell("artifact", name="text", kind="stream", bytes=len(text) + here("lie"))
    tell("expect", name="text", value=settings["text"])
    if here("half"):
        events.write('{"event": "do')
        events.flush()
        os._exit(0)
if verb == "restore":
    data = open(request["artifacts"][0]["path"]).read()
    open(request["work"] + "/copy", "w").write(data + settings.get("spoil", ""))
if verb == "verify":
    tell("observe", name="text", value=open(request["work"] + "/copy").read())
tell("done")
"""


class ActionStack(Stack):
    """With programs that the agent's host allows, and an application of one component each."""

    def __init__(self):
        super().__init__(rows=10, files=2)
        self.programs = self.dir / "programs"
        self.programs.mkdir(mode=0o755)
        self.folder = self.dir / "toy"
        self.folder.mkdir(mode=0o755)
        (self.programs / "toy").write_text(TOY)
        (self.programs / "toy").chmod(0o755)
        self.agent_options = ["--allow-action", self.programs / "toy"]

    def allow(self, example, user=""):
        bundle(PACKAGE / f"examples/{example}.py", self.programs / example)
        self.agent_options += ["--allow-action", f"{self.programs / example}{':' + user if user and os.geteuid() == 0 else ''}"]

    def declare(self, program="toy", **settings):
        values = json.dumps({"folder": str(self.folder), "text": "all of it", **settings} if program == "toy" else settings)
        return self.apply(f"""
apiVersion: salvor.dev/v1
kind: Application
metadata: {{name: own}}
spec:
  environment: local
  components:
  - name: part
    action: {{program: {program}, settings: {values}}}
""")

    def back_up(self, code=0):
        done = self.cli("backup", "create", "own", "--wait", check=False)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def drill(self, code=0):
        done = self.cli("drill", "create", "--backup", "latest:own", "--wait", check=False)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


class Examples(unittest.TestCase):
    def test_redis_goes_from_a_declaration_to_a_proven_backup_and_back(self):
        stack = ActionStack()
        stack.allow("redis")
        with stack, RedisServer(stack.dir / "redis") as redis:
            redis.fill()
            stack.declare("redis", socket=str(redis.socket))
            stack.back_up()
            self.assertEqual(stack.backup("latest:own")["coverage"], "Complete")
            self.assertIn("proven", stack.drill())
            self.assertEqual(stack.backup("latest:own")["verification"], "Proven")
            refused = stack.cli("restore", "create", "--backup", "latest:own", "--to", "own", "--wait", check=False)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("setting directory is no folder", refused.stdout + refused.stderr)

    def test_openldap_goes_from_a_declaration_to_a_proven_backup(self):
        stack = ActionStack()
        stack.allow("openldap", user="openldap")
        with stack:
            directory = Directory(stack.dir / "ldap")
            give_to(directory.folder, "openldap")
            stack.declare("openldap", config=str(directory.config), suffix=SUFFIX_OF_TESTS)
            stack.back_up()
            self.assertIn("proven", stack.drill())

    def test_damage_in_the_location_is_named(self):
        stack = ActionStack()
        stack.allow("redis")
        with stack, RedisServer(stack.dir / "redis") as redis:
            redis.fill()
            stack.declare("redis", socket=str(redis.socket))
            stack.back_up()
            kept = stack.snapshots("artifact=part.dump.rdb")
            self.assertEqual(len(kept), 1)
            stack.restic("forget", kept[0]["id"])
            name = stack.backup("latest:own")["name"]
            said = stack.drill(code=1)
            self.assertIn("part.dump.rdb", said)
            self.assertEqual(stack.backup(name)["verification"], "Disproven")


class BadDays(unittest.TestCase):
    def test_an_agent_that_is_killed_in_mid_backup_takes_the_program_with_it_and_the_next_one_does_it_anew(self):
        with ActionStack() as stack:
            stack.declare()
            (stack.folder / "hold").touch()
            run = stack.start_run("backup", "create", "own")
            stack.wait_for_step(run, "part.backup", "RUNNING")

            def toys():
                return [pid for pid in processes() if self.is_in(pid, stack)]
            wait_for("the program to write", lambda: "SALVOR-TOY-WRITES" in stack.cli("run", "logs", run, check=False).stdout)
            self.assertTrue(toys())
            stack.kill_agent()
            wait_for("the program to be gone", lambda: not toys())
            (stack.folder / "hold").unlink()
            stack.start_agent()
            self.assertEqual(stack.outcome(run), "SUCCEEDED")
            self.assertEqual(len(stack.snapshots("component=part")), 2, "the artifact and the record, once")
            self.assertIn("proven", stack.drill())
            self.assertEqual(glob.glob(self.work_of(stack) + "*"), [])

    @staticmethod
    def work_of(stack):
        """How the paths of this agent's work folders begin."""
        return "/var/tmp/salvor-action-" + hashlib.sha256(str(stack.dir / "agent").encode()).hexdigest()[:12]

    def is_in(self, pid, stack):
        return f"HOME={self.work_of(stack)}".encode() in environment_of(pid)

    def test_what_breaks_the_contract_keeps_nothing_and_is_named(self):
        for mode, said in (("half", "its last event"), ("lie", "told of 10 bytes and wrote 9"), ("killed", "killed by signal 9")):
            with self.subTest(mode), ActionStack() as stack:
                stack.declare()
                (stack.folder / mode).touch()
                run = stack.start_run("backup", "create", "own")
                self.assertEqual(stack.outcome(run, deadline_s=300), "FAILED")
                reason = json.dumps(stack.run(run))
                self.assertTrue(said in reason or (mode == "half" and "cut short" in reason), reason[-2000:])
                self.assertEqual(stack.snapshots("component=part"), [])

    def test_a_temporary_failure_is_tried_again(self):
        with ActionStack() as stack:
            stack.declare()
            (stack.folder / "busy").touch()
            stack.back_up()
            self.assertEqual(len(stack.snapshots("component=part")), 2)

    def test_without_an_artifact_it_is_unverifiable_and_never_green(self):
        with ActionStack() as stack:
            stack.declare()
            (stack.folder / "nothing").touch()
            stack.back_up()
            self.assertIn("unverifiable", stack.drill(code=3).lower())
            self.assertEqual(stack.backup("latest:own")["verification"], "Unverifiable")

    def test_damage_in_the_copy_disproves_by_name(self):
        with ActionStack() as stack:
            stack.declare(spoil="?")
            stack.back_up()
            name = stack.backup("latest:own")["name"]
            self.assertIn("expectation text: all of it at the backup, all of it? in the copy", stack.drill(code=1))
            self.assertEqual(stack.backup(name)["verification"], "Disproven")

    def test_a_program_that_the_host_does_not_allow_is_refused_before_anything_is_read(self):
        with ActionStack() as stack:
            stack.declare("other")
            done = stack.cli("backup", "create", "own", "--wait", check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("does not allow the action other", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
