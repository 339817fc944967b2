#!/usr/bin/env python3
"""Nothing is left: at every boundary of every kind of run, who works is killed, or the run is cancelled; and when it is over
there is nothing new on the machine but its outcome, which is right.

Each test follows one run to its end to learn its boundaries, then makes one run for each (tools/dev test --all). By hand
it takes about every 10th, or as SALVOR_EVERY_NTH_BOUNDARY says.
"""

import hashlib
import os
import re
import shutil
import signal
import stat
import unittest

import inventory
from boundaries import Follower, sample
from stack import Stack, wait_for

SETTLES_S = 30  # which only a failure takes


# ---- what happens at a boundary. Each ends with everything started again, and tells whom it killed.

def agent_killed(stack, run):
    victims = inventory.identities(inventory.workers(stack))
    stack.kill_agent()
    stack.start_agent(wait=False)
    return victims


def agent_and_tools_killed(stack, run):
    stack.agent.send_signal(signal.SIGSTOP)  # it starts nothing more
    victims = set()
    while more := inventory.identities(inventory.workers(stack)) - victims:
        for pid, _ in more:
            _send(signal.SIGSTOP, pid)
        victims |= more
    for pid, _ in victims:
        _send(signal.SIGKILL, pid)
    stack.kill_agent()
    stack.start_agent(wait=False)
    return victims


def control_plane_killed(stack, run):
    stack.kill_salvord()
    stack.start_salvord()
    return set()


def cancelled(stack, run):
    stack.cli("run", "cancel", run, check=False)  # it may be over
    return set()


def agent_killed_and_cancelled(stack, run):
    victims = inventory.identities(inventory.workers(stack))
    stack.kill_agent()
    stack.cli("run", "cancel", run, check=False)
    stack.start_agent(wait=False)
    return victims


def _send(number, pid):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


# ---- what is run, and what it shall have come to

class Backup:
    def __init__(self, case, stack):
        self.case, self.stack = case, stack
        self.cancelled = set()  # since the last that succeeded

    def prepare(self):
        pass

    def start(self, number):
        return self.stack.start_run("backup", "create", "shop")

    def expected(self, thing, run, number):
        # Snapshots that cancelled runs kept go with the next one's manifest.
        return thing.startswith("snapshot ") and any(f"run={each}" in thing for each in self.cancelled)

    def note_outcome(self, run, outcome):
        self.cancelled = self.cancelled | {run} if outcome == "CANCELLED" else set()

    def check_success(self, run, number):
        backup = self.stack.backup()
        self.case.assertEqual((backup["run"], backup["coverage"]), (run, "Complete"))

    def clear(self, number):
        pass

    def finish(self):
        self.stack.cli("backup", "create", "shop", "--wait")
        self.cancelled.clear()
        self.stack.cli("drill", "create", "--backup", "latest:shop", "--wait")


class VolumeBackup(Backup):
    def prepare(self):
        dumps = self.stack.dir / "dumps"
        dumps.mkdir()
        self.stack.apply(self.stack.declaration(capture="Volume", extra=f'dumpDirectory: "{dumps}"'))


class Drill(Backup):
    def prepare(self):
        self.stack.cli("backup", "create", "shop", "--wait")

    def start(self, number):
        return self.stack.start_run("drill", "create", "--backup", "latest:shop")

    def expected(self, thing, run, number):
        return is_a_record(thing)

    def check_success(self, run, number):
        backup = self.stack.backup()
        self.case.assertEqual(backup["verification"], "Proven", backup.get("verificationReason"))

    def finish(self):
        self.stack.cli("drill", "create", "--backup", "latest:shop", "--wait")


class Restore(Drill):
    """A restore of the database under a new name, and of the files below a folder of their own."""

    def prepare(self):
        super().prepare()
        (self.stack.dir / "back").mkdir()
        self.rows, self.tree = self.stack.fingerprint(), tree_of(self.stack.uploads)

    def start(self, number):
        self._root(number).mkdir()
        return self.stack.start_run("restore", "create", "--backup", "latest:shop", "--to", "shop", "--rename-database",
                                    f"shop=copy_{number}", "--disk-root", self._root(number))

    def _root(self, number):
        return self.stack.dir / f"back/{number}"

    def expected(self, thing, run, number):
        """A run that was cancelled, too, may have left what is whole. The checks say whether it is."""
        below = thing.partition(f" back/{number}")
        files = below[1] and (not below[2] or below[2][0] == "/") and "/.salvor-" not in thing
        return super().expected(thing, run, number) or bool(files) or thing == f"database copy_{number}"

    def check_success(self, run, number):
        self.case.assertEqual(self.rows, self.stack.fingerprint(f"copy_{number}"))
        self.case.assertEqual(self.tree, tree_of(self._laid(number)))

    def check_cancelled(self, run, number):
        """Whole or nothing."""
        if self.stack.sql(f"SELECT 1 FROM pg_database WHERE datname = 'copy_{number}'"):
            self.case.assertEqual(self.rows, self.stack.fingerprint(f"copy_{number}"))
        left = [path for path in self._root(number).rglob("*") if not path.is_dir() or path.name == self.stack.uploads.name]
        if left:  # empty parents may have been made for it
            self.case.assertEqual(self.tree, tree_of(self._laid(number)), f"half a copy of the files: {left}")

    def _laid(self, number):
        found = [path for path in self._root(number).rglob(self.stack.uploads.name) if path.is_dir()]
        self.case.assertEqual(len(found), 1, f"copies of the files in {self._root(number)}: {found}")
        return found[0]

    def clear(self, number):
        self.stack.sql(f"DROP DATABASE IF EXISTS copy_{number}")
        shutil.rmtree(self._root(number))

    def finish(self):
        pass


def tree_of(folder):
    """Everything that a copy must have in common with its original."""
    found, inodes = {}, {}
    for path in sorted([folder, *folder.rglob("*")]):
        facts = path.lstat()
        content = ""
        if stat.S_ISLNK(facts.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(facts.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        first = inodes.setdefault(facts.st_ino, str(path.relative_to(folder)))
        found[str(path.relative_to(folder))] = (facts.st_mode, facts.st_uid, facts.st_mtime_ns, content, first)
    return found


def attempts_of_what_is_done(stack, run):
    """The steps that have succeeded, and in which attempt."""
    return {name: step["attempt"] for name, step in stack.steps(run).items() if step["phase"] == "SUCCEEDED"}


def tasks_done(stack):
    """How many tasks the agent has done since it was started."""
    counts = re.findall(r"^salvor_agent_tasks_total\{.*\} (\d+)", stack.metrics("agent"), re.MULTILINE)
    return sum(map(int, counts))


def is_a_record(thing):
    """The agent's memory of each restore, and the folders that the first drill makes."""
    return thing.startswith(f"file {inventory.RECORDS}/") or thing in (f"folder {inventory.RECORDS}", "folder agent/scratch",
                                                                       "folder agent/spool")


# ---- the walk

class Walk(unittest.TestCase):
    def walk(self, subject_type, disturb):
        with Stack() as stack:
            subject = subject_type(self, stack)
            subject.prepare()
            idle = tasks_done(stack)
            with Follower(stack, run := subject.start(0)) as follower:
                boundaries = list(follower.to_the_end())
            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            wait_for("the agent to count its tasks", lambda: tasks_done(stack) - idle >= len(stack.steps(run)), SETTLES_S)
            self._tasks_of_a_run = tasks_done(stack) - idle
            subject.check_success(run, 0)
            subject.clear(0)
            chosen = sample(boundaries, self.id())
            self.assertTrue(chosen, boundaries)
            reached, self._before = 0, inventory.take(stack)
            for number, boundary in enumerate(chosen, 1):
                with self.subTest(boundary=boundary):
                    reached += self._disturb_once(stack, subject, disturb, boundary, number)
            # A tool that is gone before it is seen is a boundary that is missed; a walk that misses most has shown nothing.
            self.assertGreaterEqual(2 * reached, len(chosen), "most disturbances came after the run's end")
            print(f"{self.id()}: {len(chosen)} of {len(boundaries)} boundaries, {reached} of them in a run that went on: {chosen}")
            subject.finish()
            self.assertEqual(inventory.settled(stack, self._before, is_a_record, SETTLES_S), set(), "left in the end")

    def _disturb_once(self, stack, subject, disturb, boundary, number):
        """True when the run had come to the boundary before its end."""
        log_before = (stack.dir / "agent.log").stat().st_size
        tasks_before = tasks_done(stack) if disturb is control_plane_killed else 0
        run = subject.start(number)
        with Follower(stack, run) as follower:
            reached = follower.until(boundary)
        done = attempts_of_what_is_done(stack, run)
        victims = disturb(stack, run)
        outcome = stack.outcome(run)
        subject.note_outcome(run, outcome)
        stack.wait_for_agent()

        def alive_yet():
            return {f"process {pid} that worked when its agent died" for pid, started in victims if inventory.started_at(pid) == started}
        left = inventory.settled(stack, self._before, lambda thing: subject.expected(thing, run, number), SETTLES_S)
        try:
            wait_for("those that worked for it to end", lambda: not alive_yet(), SETTLES_S)
            self.assertEqual(left | inventory.shared_memory({pid for pid, _ in victims}), set(), f"left by {run}, {outcome}")
            self._obligations_end(stack, run)
            self.assertLessEqual(done.items(), attempts_of_what_is_done(stack, run).items(), "what was done was done again")
            if disturb is control_plane_killed:
                # A grant that was on record and not sent yet is given again, as a second attempt: nothing ran twice.
                wait_for("the agent to count its tasks", lambda: tasks_done(stack) - tasks_before >= self._tasks_of_a_run, SETTLES_S)
                self.assertEqual(tasks_done(stack) - tasks_before, self._tasks_of_a_run, "something ran twice")
            if outcome == "CANCELLED" and disturb in (cancelled, agent_killed_and_cancelled):
                getattr(subject, "check_cancelled", lambda *_: None)(run, number)
            else:
                self.assertEqual(outcome, "SUCCEEDED", stack.run(run).get("reason"))
                subject.check_success(run, number)
        except AssertionError:
            print(f"--- {boundary}\n{stack.cli('run', 'show', run).stdout}"
                  f"--- agent.log\n{(stack.dir / 'agent.log').read_bytes()[log_before:].decode(errors='replace')}")
            raise
        finally:
            subject.clear(number)
            if left:
                self._before = inventory.take(stack)  # it is told once
        return reached


    def _obligations_end(self, stack, run):
        def still_open():
            return [each for each in stack.run(run).get("obligations", []) if each["phase"] not in ("Released", "NotNeeded")]
        try:
            wait_for("what was to be undone to be undone", lambda: not still_open(), SETTLES_S)
        except AssertionError as late:
            raise AssertionError(f"{late}; {run} still says: {still_open()}") from late


class BackupLeavesNothing(Walk):
    def test_when_its_agent_is_killed(self):
        self.walk(Backup, agent_killed)

    def test_when_its_agent_and_all_tools_are_killed(self):
        self.walk(Backup, agent_and_tools_killed)

    def test_when_the_control_plane_is_killed(self):
        self.walk(Backup, control_plane_killed)

    def test_when_it_is_cancelled(self):
        self.walk(Backup, cancelled)

    def test_when_it_is_cancelled_without_its_agent(self):
        self.walk(Backup, agent_killed_and_cancelled)


class VolumeBackupLeavesNothing(Walk):
    def test_when_its_agent_is_killed(self):
        self.walk(VolumeBackup, agent_killed)

    def test_when_its_agent_and_all_tools_are_killed(self):
        self.walk(VolumeBackup, agent_and_tools_killed)

    def test_when_the_control_plane_is_killed(self):
        self.walk(VolumeBackup, control_plane_killed)

    def test_when_it_is_cancelled(self):
        self.walk(VolumeBackup, cancelled)

    def test_when_it_is_cancelled_without_its_agent(self):
        self.walk(VolumeBackup, agent_killed_and_cancelled)


class DrillLeavesNothing(Walk):
    def test_when_its_agent_is_killed(self):
        self.walk(Drill, agent_killed)

    def test_when_its_agent_and_all_tools_are_killed(self):
        self.walk(Drill, agent_and_tools_killed)

    def test_when_the_control_plane_is_killed(self):
        self.walk(Drill, control_plane_killed)

    def test_when_it_is_cancelled(self):
        self.walk(Drill, cancelled)

    def test_when_it_is_cancelled_without_its_agent(self):
        self.walk(Drill, agent_killed_and_cancelled)


class RestoreLeavesNothing(Walk):
    def test_when_its_agent_is_killed(self):
        self.walk(Restore, agent_killed)

    def test_when_its_agent_and_all_tools_are_killed(self):
        self.walk(Restore, agent_and_tools_killed)

    def test_when_the_control_plane_is_killed(self):
        self.walk(Restore, control_plane_killed)

    def test_when_it_is_cancelled(self):
        self.walk(Restore, cancelled)

    def test_when_it_is_cancelled_without_its_agent(self):
        self.walk(Restore, agent_killed_and_cancelled)


if __name__ == "__main__":
    unittest.main(verbosity=2)
