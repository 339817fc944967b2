"""The test-bed is a real cluster, in a few minutes: every part answers, and a database survives its namespace."""

import json
import re
import subprocess
import sys
import unittest
import uuid

import database
from support import (HERE, OBJECTS, ClusterTest, apply, delete_namespace, find, get, kubectl, pods_of, succeeds, velero,
                     volume_info, wait_for, wait_until_ready)

from bed import s3
from bed.configuration import s3_access
from bed.probes import condition
from bed.settings import NODE

NODE_SECONDS = 30
JOB_SECONDS = 60


class Components(ClusterTest):
    def test_the_node_is_ready(self):
        node = wait_for(f"node {NODE} to be Ready", lambda: next(
            (each for each in find("default", "nodes") if condition(each, "Ready") == "True"), None), NODE_SECONDS,
            lambda: [each["status"].get("conditions") for each in find("default", "nodes")])
        self.assertEqual(node["metadata"]["name"], NODE)
        self.assertFalse(node["spec"].get("taints"))

    def test_every_component_is_well(self):
        command = [sys.executable, str(HERE.parent / "cluster.py"), "status", "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        components = json.loads(done.stdout)["components"]
        self.assertGreater(len(components), 10)
        self.assertEqual([f"{each['name']}: {each['detail']}" for each in components if each["state"] != "ok"], [])

    def test_the_control_plane_answers(self):
        self.assertIn("readyz check passed", kubectl("get", "--raw", "/readyz?verbose"))
        for component in find("default", "componentstatuses"):
            answers = {each["type"]: each["status"] for each in component["conditions"]}
            self.assertEqual(answers, {"Healthy": "True"}, component["metadata"]["name"])

    def test_the_server_is_of_the_client_s_version(self):
        versions = json.loads(kubectl("version", "-o", "json"))
        self.assertEqual(versions["clientVersion"]["gitVersion"], versions["serverVersion"]["gitVersion"])

    def test_velero_and_its_location_answer(self):
        wait_until_ready("velero", "deployment/velero", "daemonset/node-agent")
        found = velero("version")
        client, server = re.findall(r"Version: (\S+)", found)
        self.assertEqual(client, server)
        locations = find("velero", "backupstoragelocations")
        self.assertEqual([each["status"].get("phase") for each in locations], ["Available"])

    def test_rights_are_checked(self):
        self.assertTrue(succeeds("auth", "can-i", "get", "secrets"))
        self.assertFalse(succeeds("auth", "can-i", "get", "secrets", "--as=system:serviceaccount:default:default"))


class Workloads(ClusterTest):
    def test_exec_logs_names_and_jobs(self):
        space = self.namespace("smoke-work")
        apply(space, OBJECTS / "web.yaml")
        wait_until_ready(space, "deployment/web")
        page = kubectl("-n", space, "exec", "deployment/web", "--", "cat", "/www/index.html")
        self.assertIn("It works", page)
        apply(space, OBJECTS / "job.yaml")
        wait_for("the Job to be Complete", lambda: condition(get(space, "job", "visitor"), "Complete") == "True",
                 JOB_SECONDS, lambda: f"{(get(space, 'job', 'visitor') or {}).get('status')}, {pods_of(space)}")
        seen = kubectl("-n", space, "logs", "job/visitor").splitlines()
        self.assertEqual((len(seen), seen[-1]), (3, "visited"))
        self.assertIn("response:200", kubectl("-n", space, "logs", "deployment/web"))


class Database(ClusterTest):
    def test_a_snapshot_backup_outlives_its_namespace(self):
        space = self.namespace("smoke-db")
        before = database.start(space)
        self.assertTrue(before.startswith(f"{database.ROWS}|"), before)
        backup = self.back_up("smoke-db", space)
        self.assertEqual(volume_info(backup)["data-db-0"]["backupMethod"], "CSISnapshot")
        delete_namespace(space)
        self.restore("smoke-db", backup)
        self.assertEqual(database.content(space), before)


class ObjectStore(ClusterTest):
    """Signed requests of our own do it: the cluster's own client is Velero's plugin, which knows no versions."""

    def ask(self, method: str, path: str, body: bytes = b"", query: str = "", **headers: str) -> str:
        status, answer = s3.request(s3_access(), method, path, body, {
            name.replace("_", "-"): value for name, value in headers.items()}, query)
        self.assertIn(status, (200, 204), f"{method} {path}?{query}: {answer.decode()[:300]}")
        return answer.decode()

    def bucket(self, object_lock: bool) -> str:
        name = f"suite-{uuid.uuid4().hex[:12]}"
        s3.make_bucket(s3_access(), name, object_lock=object_lock)
        self.addCleanup(self.remove_bucket, name)
        return name

    def versions(self, bucket: str) -> list[tuple[str, str]]:
        """Key and version of everything ever written, removed or not."""
        listed = self.ask("GET", f"/{bucket}", query="versions=")
        keys, versions = (re.findall(f"<{tag}>(.*?)</{tag}>", listed) for tag in ("Key", "VersionId"))
        return list(zip(keys, versions))

    def remove_bucket(self, bucket: str) -> None:
        for key, version in self.versions(bucket):
            self.ask("DELETE", f"/{bucket}/{key}", query=f"versionId={version}",
                     x_amz_bypass_governance_retention="true")
        self.ask("DELETE", f"/{bucket}")

    def test_an_overwritten_and_deleted_object_is_still_there(self):
        bucket = self.bucket(object_lock=False)
        self.ask("PUT", f"/{bucket}", b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
                 query="versioning=")
        self.assertIn("Enabled", self.ask("GET", f"/{bucket}", query="versioning="))
        for text in (b"first", b"second"):
            self.ask("PUT", f"/{bucket}/note", text)
        self.ask("DELETE", f"/{bucket}/note")
        self.assertEqual(s3.request(s3_access(), "GET", f"/{bucket}/note")[0], 404)
        kept = {s3.request(s3_access(), "GET", f"/{bucket}/note", query=f"versionId={version}")[1]
                for _, version in self.versions(bucket)}
        self.assertLessEqual({b"first", b"second"}, kept)

    def test_a_locked_version_cannot_be_deleted(self):
        bucket = self.bucket(object_lock=True)
        self.ask("PUT", f"/{bucket}/note", b"kept", x_amz_object_lock_mode="GOVERNANCE",
                 x_amz_object_lock_retain_until_date="2100-01-01T00:00:00Z")
        [(_, version)] = self.versions(bucket)
        status, answer = s3.request(s3_access(), "DELETE", f"/{bucket}/note", query=f"versionId={version}")
        self.assertEqual(status, 403, answer.decode())
        self.assertEqual(self.ask("GET", f"/{bucket}/note", query=f"versionId={version}"), "kept")


if __name__ == "__main__":
    unittest.main()
