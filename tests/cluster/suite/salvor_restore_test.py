"""Salvor brings a namespace back through the real Velero, and says the truth about what came back."""

import json
import unittest

from salvor import MADE_BY_SALVOR, ClusterStack
from support import (BACKUP_SECONDS, RESTORE_SECONDS, RUN, VELERO, ClusterTest, Json, apply, delete_namespace, find,
                     get, kubectl, phase, pods_of, wait_for)
from volumes import claim, pod, start, write

WORD = f"of-{RUN}"
IDLE = "exec sleep 3600"
SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"word": WORD}}


def word_in(space: str, name: str) -> str:
    return kubectl("-n", space, "exec", name, "--", "cat", "/data/word").strip()


def restores_of(backup: str) -> list[Json]:
    """Those that Salvor let Velero make of one of Velero's Backups."""
    return [each for each in find(VELERO, "restores.velero.io", MADE_BY_SALVOR) if each["spec"]["backupName"] == backup]


class Restores(ClusterTest):
    def space_with(self, name: str) -> str:
        space = self.namespace(name)
        apply(space, claim("uploads"), SETTINGS)
        write(space, "uploads", WORD)
        start(space, pod("user", "uploads", IDLE))
        return space

    def back_up(self, stack: ClusterStack) -> str:
        stack.cli("backup", "create", "shop", "--wait", timeout=BACKUP_SECONDS)
        self.assertEqual(stack.backup()["coverage"], "Complete", stack.backup().get("reason"))
        [made] = stack.velero_backups()
        return made

    def check_restored(self, stack: ClusterStack, made: str, run: str, target: str) -> None:
        self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
        shown = stack.run(run)
        self.assertEqual(shown["verdict"], "Restored", shown.get("verdictReason"))
        [restore] = restores_of(made)
        self.assertEqual((phase(restore), restore["metadata"]["labels"][MADE_BY_SALVOR]), ("Completed", run))
        wait_for("the restored pod to run", lambda: phase(get(target, "pod", "user")) == "Running", RESTORE_SECONDS,
                 lambda: pods_of(target))
        self.assertEqual(word_in(target, "user"), WORD)
        self.assertEqual((get(target, "configmap", "settings") or {})["data"], {"word": WORD})

    def bring_back_by(self, name: str, method: str) -> None:
        space, target = self.space_with(name), self.namespace(f"{name}-copy")
        with ClusterStack(space, {"uploads": method}) as stack:
            made = self.back_up(stack)
            run = stack.start_run("restore", "create", "--backup", "latest:shop", "--to", "shop", "--namespace", target)
            self.check_restored(stack, made, run, target)
            checks = [check for step in stack.steps(run).values() for check in step.get("result", {}).get("checks", [])]
            self.assertIn(f"{target}/uploads", [check.get("subject") for check in checks])
            self.assertEqual(word_in(space, "user"), WORD, "the original is as it was")

    def test_a_volume_kept_by_its_files_into_another_namespace(self):
        self.bring_back_by("salvor-return-files", "FileSystem")

    def test_a_volume_kept_by_a_snapshot_into_another_namespace(self):
        self.bring_back_by("salvor-return-snapshot", "Snapshot")

    def test_a_volume_kept_by_a_moved_snapshot_into_another_namespace(self):
        self.bring_back_by("salvor-return-moved", "SnapshotMoved")

    def test_into_the_same_namespace_once_it_was_deleted(self):
        space = self.space_with("salvor-return-lost")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            made = self.back_up(stack)
            delete_namespace(space)
            run = stack.start_run("restore", "create", "--backup", "latest:shop", "--to", "shop")
            self.check_restored(stack, made, run, space)

    def test_into_the_same_namespace_while_the_claim_is_there_is_refused_and_nothing_is_made(self):
        space = self.space_with("salvor-return-there")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            made = self.back_up(stack)
            for words in (["--dry-run"], ["--wait"]):
                done = stack.cli("restore", "create", "--backup", "latest:shop", "--to", "shop", *words, check=False,
                                 timeout=RESTORE_SECONDS)
                self.assertNotEqual(done.returncode, 0, words)
                said = " ".join((done.stdout + done.stderr).split())
                self.assertIn(f"the claim {space}/uploads is there already", said)
            self.assertEqual(restores_of(made), [])
            self.assertEqual(word_in(space, "user"), WORD)

    def test_an_agent_that_is_killed_goes_on_with_the_same_restore(self):
        space, target = self.space_with("salvor-return-killed"), self.namespace("salvor-return-again")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            made = self.back_up(stack)
            run = stack.start_run("restore", "create", "--backup", "latest:shop", "--to", "shop", "--namespace", target)
            wait_for("the restore to be made", lambda: restores_of(made), RESTORE_SECONDS,
                     lambda: json.dumps(stack.steps(run))[:2000])
            stack.kill_agent()
            stack.start_agent()
            self.check_restored(stack, made, run, target)


if __name__ == "__main__":
    unittest.main()
