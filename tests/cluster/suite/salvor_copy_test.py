"""A copy of a namespace does not act as the original does, and is what was asked for; a look beforehand says both."""

import json
import unittest

from salvor import MADE_BY_SALVOR, ClusterStack
from support import (BACKUP_SECONDS, RESTORE_SECONDS, RUN, VELERO, ClusterTest, Json, apply, find, get, kubectl, pods_of,
                     phase, wait_for)
from volumes import IMAGE, claim, pod, start, write

WORD = f"of-{RUN}"
IDLE = "exec sleep 3600"
NODE_PORT = 30000 + int(RUN, 16) % 2000
TICK: Json = {
    "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"},
    "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "tick", "image": IMAGE, "command": ["true"]}]}}}}}}
FRONT: Json = {
    "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "front"},
    "spec": {"rules": [{"host": "shop.test", "http": {"paths": [
        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}}


def service(name: str, kind: str, node_port: int = 0) -> Json:
    port = {"port": 80, **({"nodePort": node_port} if node_port else {})}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"type": kind, "selector": {"app": "web"}, "ports": [port]}}


def last_run(space: str) -> str:
    return (get(space, "cronjob", "tick") or {}).get("status", {}).get("lastScheduleTime", "")


class Copies(ClusterTest):
    def space_to_copy(self, name: str) -> str:
        space = self.namespace(name)
        apply(space, claim("uploads"), service("web", "LoadBalancer"), service("fixed", "NodePort", NODE_PORT), FRONT)
        write(space, "uploads", WORD)
        start(space, pod("user", "uploads", IDLE))
        # Its first Job is a minute away, and the backup need not wait for it.
        apply(space, TICK)
        return space

    def back_up(self, stack: ClusterStack) -> None:
        stack.cli("backup", "create", "shop", "--wait", timeout=BACKUP_SECONDS)
        self.assertEqual(stack.backup()["coverage"], "Complete", stack.backup().get("reason"))

    def restored(self, stack: ClusterStack, target: str, *words: str) -> Json:
        run = stack.start_run("restore", "create", "--backup", "latest:shop", "--to", "shop", "--namespace", target,
                              *words)
        self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
        self.assertEqual(stack.run(run)["verdict"], "Restored", stack.run(run).get("verdictReason"))
        [report] = [step["result"]["veleroRestore"] for step in stack.steps(run).values()
                    if "veleroRestore" in step.get("result", {})]
        self.assertEqual([each["metadata"]["name"] for each in find(VELERO, "configmaps", MADE_BY_SALVOR)
                          if each["metadata"]["name"].endswith("-changes")], [], "the rules are removed")
        return report

    def test_it_does_not_act_as_the_original_does(self):
        space, target = self.space_to_copy("salvor-copy-safe"), self.namespace("salvor-copy-safe-to")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            self.back_up(stack)
            report = self.restored(stack, target)
            self.assertTrue(get(target, "cronjob", "tick")["spec"]["suspend"])
            self.assertFalse(get(space, "cronjob", "tick")["spec"].get("suspend"), "the original is as it was")
            self.assertEqual(get(target, "service", "web")["spec"]["type"], "ClusterIP")
            self.assertNotEqual(get(target, "service", "fixed")["spec"]["ports"][0]["nodePort"], NODE_PORT)
            self.assertIsNone(get(target, "ingress", "front"))
            self.assertEqual(report["leftOut"], [f"Ingress {target}/front"])
            named = {(each["kind"], each["name"]) for each in report["changes"]}
            self.assertLessEqual({("CronJob", "tick"), ("Service", "web"), ("Service", "fixed")}, named)
            wait_for("the restored pod to run", lambda: phase(get(target, "pod", "user")) == "Running",
                     RESTORE_SECONDS, lambda: pods_of(target))
            # The original's clock goes on: once it has made its next Job, the copy's would have, too.
            last = last_run(space)
            wait_for("the original's next Job", lambda: last_run(space) != last, 150, lambda: find(space, "jobs"))
            self.assertEqual(last_run(target), "", "no job of the copy's was ever made")

    def test_it_is_what_was_asked_for_and_a_look_says_so_beforehand(self):
        space, target = self.space_to_copy("salvor-copy-asked"), self.namespace("salvor-copy-asked-to")
        old = get(space, "pvc", "uploads")["spec"]["storageClassName"]
        new = f"salvor-copy-{RUN}"
        original = json.loads(kubectl("get", "storageclass", old, "-o", "json"))
        original["metadata"] = {"name": new}
        kubectl("apply", "-f", "-", text=json.dumps(original))
        self.addCleanup(kubectl, "delete", "storageclass", new, "--ignore-not-found")
        asked = ["--storage-class", f"{old}={new}", "--host", "shop.test=copy.test", "--with-ingress",
                 "--keep-schedules"]
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            self.back_up(stack)
            apply(target, service("web", "ClusterIP"))
            looked = stack.cli("restore", "create", "--backup", "latest:shop", "--to", "shop", "--namespace", target,
                               *asked, "--dry-run", timeout=RESTORE_SECONDS)
            said = " ".join(looked.stdout.split())
            for words in (f"storage class: {old} → {new}", "host: shop.test → copy.test", "there already Service web"):
                self.assertIn(words, said)
            self.assertIsNone(get(target, "pvc", "uploads"), "nothing was written")
            kubectl("-n", target, "delete", "service", "web")
            self.restored(stack, target, *asked)
            self.assertEqual(get(target, "pvc", "uploads")["spec"]["storageClassName"], new)
            self.assertEqual(get(target, "ingress", "front")["spec"]["rules"][0]["host"], "copy.test")
            self.assertFalse(get(target, "cronjob", "tick")["spec"].get("suspend"))

    def test_images_come_from_the_registry_that_was_named(self):
        space, target = self.namespace("salvor-copy-images"), self.namespace("salvor-copy-images-to")
        apply(space, claim("uploads"))
        write(space, "uploads", WORD)
        start(space, pod("user", "uploads", IDLE))
        image = get(space, "pod", "user")["spec"]["containers"][0]["image"]
        idle = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "idle"},
                "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "idle"}},
                         "template": {"metadata": {"labels": {"app": "idle"}},
                                      "spec": {"containers": [{"name": "idle", "image": "old.test/shop/idle:1"}]}}}}
        apply(space, idle)
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            self.back_up(stack)
            self.restored(stack, target, "--image-prefix", "old.test/shop=new.test/copy")
            made = get(target, "deployment", "idle")["spec"]["template"]["spec"]["containers"][0]["image"]
            self.assertEqual(made, "new.test/copy/idle:1")
            self.assertEqual(get(target, "pod", "user")["spec"]["containers"][0]["image"], image)


if __name__ == "__main__":
    unittest.main()
