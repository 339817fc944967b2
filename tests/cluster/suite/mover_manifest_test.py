"""The pod that movers are made of has no more than a mover needs. Needs no cluster."""

import re
import unittest

from manifests_test import NEVER
from metrics_ports_test import DEPLOY, documents
from rights_test import ROOT


class MoverManifest(unittest.TestCase):
    def setUp(self) -> None:
        [self.text] = [text for text in documents() if re.search(r"(?m)^kind: PodTemplate$", text)]

    def test_each_container_is_confined(self):
        containers = re.findall(r"(?m)^    - name: ([\w-]+)\n      image: salvor$", self.text)
        self.assertEqual(containers, ["prepare", "mover"])
        self.assertEqual(len(re.findall(r"securityContext: (?:&|\*)confined", self.text)), len(containers))
        for line in ("runAsNonRoot: true", "allowPrivilegeEscalation: false", "readOnlyRootFilesystem: true",
                     "capabilities: {drop: [ALL]}", "seccompProfile: {type: RuntimeDefault}"):
            self.assertIn(line, self.text)
        given = self.text.replace("automountServiceAccountToken", "")
        self.assertEqual([word for word in NEVER if word in given], [])

    def test_it_has_the_secrets_of_the_location_and_no_other(self):
        self.assertEqual(set(re.findall(r"secretName: ([\w-]+)", self.text)), {"salvor-vault"})

    def test_passwords_lie_in_memory_alone(self):
        folder = re.search(r"--secret-directory=(\S+)", self.text)[1]
        volume = re.search(r"\{name: (\w+), mountPath: %s\}" % folder, self.text)[1]
        self.assertRegex(self.text, r"- name: %s\n      emptyDir: \{medium: Memory" % volume)

    def test_it_may_be_had_by_the_name_that_the_executor_knows(self):
        name = re.search(r'pod_template = "([\w-]+)"',
                         (ROOT / "agent/kubernetes/movers/actions/mover_action.h").read_text())[1]
        self.assertRegex(self.text, r"(?m)^  name: %s$" % name)
        self.assertIn(f"resourceNames: [{name}]", (DEPLOY / "rights.yaml").read_text())
        self.assertIn("serviceAccountName: salvor-mover", self.text)

    def test_its_options_are_those_of_the_program(self):
        known = re.findall(r'"(--[a-z-]+)"', (ROOT / "agent/mover_command.cc").read_text())
        used = re.findall(r"(?m)^      - (--[a-z-]+)(?:=|$)", self.text)
        self.assertGreater(len(used), 2)
        self.assertEqual([each for each in used if each not in known], [])


if __name__ == "__main__":
    unittest.main()
