"""Salvor proves backups of a cluster in scratch namespaces, and leaves nothing of them, whatever became of a drill."""

import json
import sys
import threading
import unittest
from pathlib import Path
from typing import Any

from salvor import ROOT, ClusterStack
from stack import BIN  # salvor made it known
from support import (BACKUP_SECONDS, GONE_SECONDS, RESTORE_SECONDS, RUN, VELERO, ClusterTest, Json, apply, find, get,
                     kubectl, stored, succeeds, wait_for)
from volumes import claim, pod, start, write

from bed import image_command, s3, settings
from bed.configuration import s3_access

sys.path.insert(0, str(ROOT / "tools/image"))
import make_image  # noqa: E402

WORD = f"of-{RUN}"
IDLE = "exec sleep 3600"
SCRATCH = "salvor.dev/scratch"
# A drill must make none of these as they are: a way in, a right, a job, a service with a port of the nodes.
BESIDE: list[Json] = [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"word": WORD}},
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}},
    {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "web"},
     "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
     "subjects": [{"kind": "ServiceAccount", "name": "web"}]},
    {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "all"},
     "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}},
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
     "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80}]}},
    {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "minutely"},
     "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": {
         "restartPolicy": "Never", "containers": [{"name": "main", "image": "salvor.test/busybox:1",
                                                   "command": ["true"]}]}}}}}},
]
# A copy of it can't be made while it is there.
FIXED_PORT = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "fixed"},
              "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30789}]}}


def setUpModule() -> None:
    """Pods of a drill are of Salvor's image, which no registry has here."""
    archive = Path(settings.STATE) / f"salvor-drill-{RUN}.tar"
    try:
        make_image.build(BIN, archive)
        image_command.import_archive(archive, settings.CONTAINERD_SOCKET)
    finally:
        archive.unlink(missing_ok=True)


class DrillStack(ClusterStack):
    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.agent_options = [*self.agent_options, "--image", make_image.image_name()]


def names(kind: str) -> set[str]:
    return {each["metadata"]["name"] for each in find("default", kind)}


def of_the_cluster() -> dict[str, set[str]]:
    """All that a drill may have made outside of its namespace: what the driver itself holds, too."""
    return {"namespaces": {each["metadata"]["name"] for each in find("default", "namespaces", SCRATCH)},
            "contents": names("volumesnapshotcontents"), "volumes": names("persistentvolumes"),
            "bindings": names("clusterrolebindings"),
            "restores": {each["metadata"]["name"] for each in find(VELERO, "restores.velero.io")},
            "rules": {each["metadata"]["name"] for each in find(VELERO, "configmaps")},
            "snapshots of the driver": {path.name for path in (Path(settings.VOLUMES) / "snapshots").iterdir()},
            "volumes of the driver": {path.name for path in (Path(settings.VOLUMES) / "volumes").iterdir()}}


class Drills(ClusterTest):
    def space_with(self, name: str) -> str:
        space = self.namespace(name)
        apply(space, claim("uploads"), *BESIDE)
        write(space, "uploads", WORD)
        start(space, pod("user", "uploads", IDLE))
        return space

    def back_up(self, stack: ClusterStack) -> None:
        stack.cli("backup", "create", "shop", "--wait", timeout=BACKUP_SECONDS)
        self.assertEqual(stack.backup()["coverage"], "Complete", stack.backup().get("reason"))

    def drill(self, stack: ClusterStack) -> str:
        """The name of one that has ended."""
        run = stack.start_run("drill", "create", "--backup", "latest:shop")
        stack.outcome(run)
        return run

    def check_nothing_is_left(self, before: dict[str, set[str]]) -> None:
        def more() -> dict[str, tuple[set[str], set[str]]]:
            now = of_the_cluster()
            return {kind: (now[kind] - before[kind], before[kind] - now[kind]) for kind in before
                    if now[kind] != before[kind]}
        wait_for("nothing more and nothing less than before", lambda: not more(), GONE_SECONDS, more)

    def check_proven(self, stack: ClusterStack, run: str) -> Json:
        shown = stack.run(run)
        self.assertEqual(shown["verdict"], "Proven", json.dumps(shown)[-3000:])
        checks = [each for step in shown["steps"] for each in step.get("result", {}).get("checks", [])]
        kinds = {each["kind"] for each in checks}
        self.assertLessEqual({"isolation", "volume", "objects"}, kinds)
        return shown

    def prove_by(self, name: str, method: str) -> None:
        with DrillStack(self.space_with(name), {"uploads": method}) as stack:
            self.back_up(stack)
            before = of_the_cluster()
            run = self.drill(stack)
            self.check_proven(stack, run)
            self.check_nothing_is_left(before)
            warnings = " ".join(each for step in stack.run(run)["steps"]
                                for each in step.get("result", {}).get("warnings", []))
            for left_out in ("ServiceAccount", "RoleBinding", "NetworkPolicy"):
                self.assertIn(left_out, warnings)
            self.assertEqual(stack.backup()["verification"], "Proven")

    def test_a_volume_kept_by_its_files(self):
        self.prove_by("salvor-drill-files", "FileSystem")

    def test_a_volume_kept_by_a_moved_snapshot(self):
        self.prove_by("salvor-drill-moved", "SnapshotMoved")

    def test_three_drills_of_a_snapshot_leave_none_more_and_none_less(self):
        space = self.space_with("salvor-drill-snapshot")
        with DrillStack(space, {"uploads": "Snapshot"}) as stack:
            self.back_up(stack)
            before = of_the_cluster()
            for _ in range(3):
                self.check_proven(stack, self.drill(stack))
            self.check_nothing_is_left(before)
            target = self.namespace("salvor-drill-after")
            run = stack.start_run("restore", "create", "--backup", "latest:shop", "--to", "shop", "--namespace", target)
            self.assertEqual(stack.outcome(run), "SUCCEEDED", "the backup still has what it stands on")

    def test_nothing_of_the_application_runs_and_nothing_gets_in_or_out_or_has_a_right(self):
        space = self.space_with("salvor-drill-quiet")
        apply(space, FIXED_PORT)
        with DrillStack(space, {"uploads": "FileSystem"}) as stack:
            self.back_up(stack)
            seen: dict[str, Json] = {}
            done = threading.Event()
            watcher = threading.Thread(target=self.watch_scratch, args=(seen, done))
            watcher.start()
            try:
                run = self.drill(stack)
            finally:
                done.set()
                watcher.join()
            self.check_proven(stack, run)
            images = {one["image"] for key, each in seen.items() if key.startswith("pods/")
                      for one in each["spec"]["containers"]}
            self.assertEqual(images, {make_image.image_name()}, sorted(seen))
            for key, each in seen.items():
                if key.startswith("pods/"):
                    self.assertIs(each["spec"]["automountServiceAccountToken"], False, key)
                if key.startswith("services/"):
                    self.assertEqual(each["spec"]["type"], "ExternalName", key)
                if key.startswith("cronjobs/"):
                    self.assertIs(each["spec"]["suspend"], True, key)
            policies = {key for key in seen if key.startswith("networkpolicies/")}
            self.assertEqual(policies, {"networkpolicies/salvor-drill"})
            self.assertFalse({key for key in seen if key.startswith(("jobs/", "rolebindings/"))})

    def watch_scratch(self, seen: dict[str, Json], done: threading.Event) -> None:
        """Every object that was ever there, in its last state."""
        kinds = "pods,services,cronjobs,jobs,networkpolicies,rolebindings"
        while not done.is_set():
            for space in [each["metadata"]["name"] for each in find("default", "namespaces", SCRATCH)]:
                try:
                    there = find(space, kinds)
                except AssertionError:
                    continue  # it goes
                for each in there:
                    plural = {"NetworkPolicy": "networkpolicies"}.get(each["kind"], each["kind"].lower() + "s")
                    seen[f"{plural}/{each['metadata']['name']}"] = each

    def test_a_backup_whose_data_are_damaged_is_not_proven(self):
        space = self.space_with("salvor-drill-damaged")
        with DrillStack(space, {"uploads": "FileSystem"}) as stack:
            self.back_up(stack)
            before = of_the_cluster()
            packs = [key for key in stored(f"kopia/{space}/") if key.rsplit("/", 1)[-1].startswith("p")]
            self.assertTrue(packs, stored(f"kopia/{space}/"))
            for key in packs:
                s3.request(s3_access(), "DELETE", f"/{s3_access()['bucket']}/{key}")
            shown = stack.run(self.drill(stack))
            self.assertEqual(shown["verdict"], "Disproven", json.dumps(shown)[-3000:])
            self.check_nothing_is_left(before)

    def test_a_way_out_is_found_and_said(self):
        """Policies add up: one that somebody adds opens the namespace."""
        space = self.space_with("salvor-drill-open")
        opened = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "open"},
                  "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}}
        with DrillStack(space, {"uploads": "FileSystem"}) as stack:
            self.back_up(stack)
            before = of_the_cluster()
            done = threading.Event()

            def open_it() -> None:
                while not done.is_set():
                    for each in find("default", "namespaces", SCRATCH):
                        words = ["-n", each["metadata"]["name"], "get", "networkpolicy", "open"]
                        if not succeeds(*words):
                            try:
                                apply(each["metadata"]["name"], opened)
                            except AssertionError:
                                pass  # it goes
            opener = threading.Thread(target=open_it)
            opener.start()
            try:
                shown = stack.run(self.drill(stack))
            finally:
                done.set()
                opener.join()
            self.assertEqual(shown["verdict"], "Unverifiable", json.dumps(shown)[-3000:])
            self.assertIn("not isolated", shown["verdictReason"])
            self.check_nothing_is_left(before)

    def test_an_agent_and_a_control_plane_that_are_killed_leave_nothing(self):
        space = self.space_with("salvor-drill-killed")
        with DrillStack(space, {"uploads": "FileSystem"}) as stack:
            self.back_up(stack)
            before = of_the_cluster()
            for step in ("scratch.start." + space, "volumes.restore." + space, "scratch.stop." + space):
                with self.subTest(killed_in=step):
                    run = stack.start_run("drill", "create", "--backup", "latest:shop")
                    stack.wait_for_step(run, step, "RUNNING", "SUCCEEDED")
                    stack.kill_agent()
                    stack.kill_salvord()
                    stack.start_salvord()
                    stack.start_agent()
                    self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
                    self.check_proven(stack, run)
                    self.check_nothing_is_left(before)

    def test_a_drill_that_is_cancelled_leaves_nothing(self):
        space = self.space_with("salvor-drill-cancelled")
        with DrillStack(space, {"uploads": "FileSystem"}) as stack:
            self.back_up(stack)
            before = of_the_cluster()
            run = stack.start_run("drill", "create", "--backup", "latest:shop")
            stack.wait_for_step(run, "volumes.restore." + space, "RUNNING", "SUCCEEDED")
            stack.cli("run", "cancel", run)
            self.assertIn(stack.outcome(run), ("CANCELLED", "SUCCEEDED"))
            self.check_nothing_is_left(before)

    def test_a_namespace_that_somebody_keeps_is_waited_for(self):
        space = self.space_with("salvor-drill-kept")
        with DrillStack(space, {"uploads": "FileSystem"}) as stack:
            self.back_up(stack)
            before = of_the_cluster()
            run = stack.start_run("drill", "create", "--backup", "latest:shop")
            [scratch] = wait_for("the scratch namespace", lambda: [each["metadata"]["name"] for each in find(
                "default", "namespaces", SCRATCH)], RESTORE_SECONDS, lambda: json.dumps(stack.steps(run))[:2000])
            apply(scratch, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
                "name": "kept", "finalizers": ["salvor.test/kept"]}})
            stays = "Some content in the namespace has finalizers remaining"
            wait_for("it to be said why the namespace stays", lambda: stays in json.dumps(stack.steps(run)),
                     RESTORE_SECONDS, lambda: (get("default", "namespace", scratch) or {}).get("status"))
            kubectl("-n", scratch, "patch", "configmap", "kept", "--type=merge", "-p",
                    '{"metadata":{"finalizers":null}}')
            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            self.check_nothing_is_left(before)


if __name__ == "__main__":
    unittest.main()
