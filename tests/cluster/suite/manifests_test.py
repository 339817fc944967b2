"""What deploy/kubernetes starts has no more than it needs of the cluster and of its node. Needs no cluster."""

import re
import unittest

from metrics_ports_test import DEPLOY, PODS, documents, one

# Nothing of the node, of other pods or of root.
NEVER = ("hostPath", "hostNetwork", "hostPID", "hostIPC", "hostPort", "privileged", "SYS_ADMIN", "runAsUser: 0",
         "serviceAccountToken")
SPEAKS_TO_THE_CLUSTER = "salvor-executor"
# Which Secrets each may have; of salvord-tls the key is salvord's alone.
SECRETS = {"salvord": {"salvord-tls"},
           "salvor-executor": {"salvord-tls", "salvor-executor-token", "salvor-vault"},
           "salvor-node": {"salvord-tls", "salvor-node-token"}}


class Manifests(unittest.TestCase):
    def setUp(self) -> None:
        self.pods = {one(r"matchLabels: \{app\.kubernetes\.io/name: ([\w-]+)\}", text): text for text in documents()
                     if PODS.search(text)}

    def test_all_are_known_here(self):
        self.assertEqual(set(self.pods), set(SECRETS))

    def test_each_container_is_confined(self):
        for name, text in self.pods.items():
            containers = re.findall(r"(?m)^      - name: [\w-]+\n        image: salvor$", text)
            self.assertGreaterEqual(len(containers), 2, name)
            self.assertEqual(len(re.findall(r"securityContext: (?:&|\*)confined", text)), len(containers), name)
            for line in ("runAsNonRoot: true", "allowPrivilegeEscalation: false", "readOnlyRootFilesystem: true",
                         "capabilities: {drop: [ALL]}", "seccompProfile: {type: RuntimeDefault}"):
                self.assertIn(line, text, name)
            given = text.replace("automountServiceAccountToken", "")
            self.assertEqual([word for word in NEVER if word in given], [], name)

    def test_only_who_speaks_to_the_cluster_has_a_token_for_it(self):
        for name, text in self.pods.items():
            wanted = "true" if name == SPEAKS_TO_THE_CLUSTER else "false"
            self.assertEqual(one(r"(?m)^      automountServiceAccountToken: (\w+)", text), wanted, name)
            self.assertEqual(one(r"serviceAccountName: ([\w-]+)", text), name)
        accounts = [text for text in documents() if re.search(r"(?m)^kind: ServiceAccount$", text)]
        self.assertEqual(len(accounts), len(self.pods) + 1)  # and that of movers, which mover_manifest_test.py looks at
        for text in accounts:
            self.assertIn("automountServiceAccountToken: false", text)

    def test_only_who_speaks_to_the_cluster_has_rights(self):
        bound = re.findall(r"kind: ServiceAccount, name: ([\w-]+)", (DEPLOY / "rights.yaml").read_text())
        self.assertEqual(set(bound), {SPEAKS_TO_THE_CLUSTER})
        others = [text for text in documents() if re.search(r"(?m)^kind: (?:Cluster)?RoleBinding$", text)
                  and "salvor-executor" not in text]
        self.assertEqual(others, [])

    def test_each_has_its_own_secrets(self):
        for name, text in self.pods.items():
            self.assertEqual(set(re.findall(r"secretName: ([\w-]+)", text)), SECRETS[name], name)
            whole = "items: [{key: ca.crt, path: ca.crt}]" not in text
            self.assertEqual(whole, name == "salvord", f"{name} and the key of salvord's certificate")

    def test_no_volume_is_of_the_node(self):
        for name, text in self.pods.items():
            volumes = text[text.index("\n      volumes:"):]
            found = re.findall(r"(?m)^        (\w+):", volumes.split("\n  volumeClaimTemplates:")[0])
            self.assertLessEqual(set(found), {"secret", "emptyDir"}, name)


if __name__ == "__main__":
    unittest.main()
