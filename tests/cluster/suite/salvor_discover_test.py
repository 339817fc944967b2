"""What runs in a namespace is proposed as an application, which can be applied unchanged and backed up."""

import json
import unittest

from salvor import ClusterStack
from support import OBJECTS, RUN, ClusterTest, apply, wait_until_ready
from volumes import claim, pod, start, write

IDLE = "exec sleep 3600"
WORD = f"of-{RUN}"


class Discover(ClusterTest):
    def shop(self, name: str) -> str:
        """Uploads that a pod has mounted, an attic that nobody has, and a PostgreSQL."""
        space = self.namespace(name)
        apply(space, OBJECTS / "postgres.yaml", claim("uploads"), claim("attic"))
        write(space, "attic", WORD)
        user = pod("user", "uploads", IDLE)
        user["spec"]["volumes"].append({"name": "cache", "emptyDir": {}})
        user["spec"]["containers"][0]["volumeMounts"].append({"name": "cache", "mountPath": "/cache"})
        start(space, user)
        wait_until_ready(space, "statefulset/db")
        return space

    def test_a_proposal_is_applied_unchanged_and_can_be_backed_up(self):
        space = self.shop("salvor-discover")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            proposed = stack.cli("discover", "--environment", "local", "--namespace", space, "--application", "found")
            text = " ".join(proposed.stdout.replace("#", " ").split())
            self.assertIn("PostgreSQL, by the image salvor.test/postgres:15 of container postgres", text)
            self.assertIn("is kept only as a volume", text)
            self.assertIn("Claim attic: no pod has it mounted", text)
            self.assertIn("Volume cache of Pod user: an emptyDir", text)
            self.assertEqual(stack.apply(proposed.stdout).stdout, "application/found created\n")
            self.assertEqual(stack.apply(proposed.stdout).stdout, "application/found unchanged\n")
            declared = json.loads(stack.cli("get", "application", "found", "-o", "json").stdout)["spec"]
            self.assertEqual((declared["environment"], declared["namespace"]), ("local", space))
            kept = {each["name"]: each["disk"] for each in declared["components"]}
            self.assertEqual({name: disk["claims"] for name, disk in kept.items()},
                             {"data-db-0": ["data-db-0"], "uploads": ["uploads"]})
            self.assertEqual({disk["method"] for disk in kept.values()}, {"SnapshotMoved"}, "the bed's driver can")
            plan = stack.cli("backup", "create", "found", "--dry-run")
            self.assertIn(f"volume uploads of {space}", " ".join(plan.stdout.split()))
            self.assertEqual(stack.velero_backups(), [], "nothing was made")

    def test_the_only_cluster_need_not_be_named_and_the_facts_come_as_json(self):
        space = self.shop("salvor-facts")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            facts = json.loads(stack.cli("discover", "--namespace", space, "-o", "json").stdout)
            self.assertEqual([each["name"] for each in facts["claims"]], ["attic", "data-db-0", "uploads"])
            workloads = {f"{each['kind']} {each['name']}": each for each in facts["workloads"]}
            self.assertEqual(set(workloads), {"Pod user", "StatefulSet db"})
            self.assertEqual(workloads["StatefulSet db"]["containers"][0]["ports"], [5432])
            self.assertEqual(facts["services"], [{"name": "db", "ports": [5432], "workloads": ["StatefulSet/db"]}])

    def test_a_namespace_that_is_not_there_is_refused(self):
        space = self.namespace("salvor-nowhere")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            refused = stack.cli("discover", "--namespace", f"{space}-else", check=False)
            self.assertEqual(refused.returncode, 1, refused.stderr)
            self.assertEqual(refused.stdout, "")
            self.assertIn(f"there is no namespace {space}-else", refused.stderr)


if __name__ == "__main__":
    unittest.main()
