"""The metrics of what deploy/kubernetes starts are served where a Prometheus looks for them. Needs no cluster."""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy/kubernetes"
PODS = re.compile(r"(?m)^kind: (StatefulSet|DaemonSet|Deployment)$")


def documents() -> list[str]:
    found = []
    for path in sorted(DEPLOY.rglob("*.yaml")):
        found += re.sub(r"(?m)^\s*#.*$", "", path.read_text()).split("\n---\n")
    return found


def one(pattern: str, text: str) -> str:
    found = re.findall(pattern, text)
    if len(found) != 1:
        raise AssertionError(f"{len(found)} of {pattern} in:\n{text}")
    return found[0]


class MetricsPorts(unittest.TestCase):
    def setUp(self) -> None:
        self.pods = [each for each in documents() if PODS.search(each)]
        self.services = [each for each in documents() if re.search(r"(?m)^kind: Service$", each)]

    def test_what_is_announced_is_what_is_served(self):
        self.assertGreaterEqual(len(self.pods), 3)
        for text in self.pods:
            port = one(r"- --metrics-listen=0\.0\.0\.0:(\d+)\n", text)
            self.assertEqual(text.count("- --metrics-open\n"), 1, "else it is refused beyond the pod")
            self.assertEqual(one(r'prometheus\.io/port: "(\d+)"', text), port)
            self.assertEqual(one(r"\{name: metrics, containerPort: (\d+)\}", text), port)
            self.assertEqual(one(r'prometheus\.io/scrape: "(\w+)"', text), "true")
            self.assertEqual(one(r"prometheus\.io/path: (/\w+)", text), "/metrics")

    def test_a_service_finds_the_pods_by_that_port(self):
        for text in self.pods:
            labels = one(r"matchLabels: (\{.*?\})", text)
            [service] = [each for each in self.services if f"selector: {labels}" in each]
            port = one(r"containerPort: (\d+)\}", text.split("{name: metrics")[1].split("\n")[0])
            self.assertIn(f"{{name: metrics, port: {port}, targetPort: metrics}}", service)

    def test_no_two_programs_serve_at_the_same_port(self):
        """Else a port-forward or a pod with a network of its node would get the other's."""
        ports = [one(r"--metrics-listen=0\.0\.0\.0:(\d+)", text) for text in self.pods]
        self.assertEqual(len(set(ports)), len(ports), ports)


if __name__ == "__main__":
    unittest.main()
