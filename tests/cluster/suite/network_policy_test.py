"""NetworkPolicies of the running cluster really block and really allow, between pods and through a Service."""

import json
import subprocess
import time
import unittest
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).resolve().parents[3]
SPACE = "network-policy-test"
IMAGE = "salvor.test/busybox:1"
PORT = 8080
CHANGE_SECONDS = 15  # within which a policy has to be in force; it takes a fraction of a second
READY_SECONDS = 60


def kubectl(*arguments: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(ROOT / "tools/dev"), "cluster", "kubectl", *arguments], input=text, text=True,
                          capture_output=True, timeout=120)
    if check and done.returncode != 0:
        raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done


def apply(*objects: dict[str, Any]) -> None:
    kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def policy(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": SPACE}, "spec": {"podSelector": {}, **spec}}


def pod(name: str, command: str) -> dict[str, Any]:
    ports = [{"name": "web", "containerPort": PORT}]
    ready = {"tcpSocket": {"port": PORT}, "periodSeconds": 1, "failureThreshold": 2}
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", command], "ports": ports,
                 **({"readinessProbe": ready} if "httpd" in command else {})}
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": SPACE, "labels": {"app": name}},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}


SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "server", "namespace": SPACE},
           "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": PORT}]}}
SERVE = f"mkdir -p /tmp/www && echo served > /tmp/www/index.html && exec httpd -f -p {PORT} -h /tmp/www"
# Not wget: the one of busybox-static crashes when it is given a time limit.
ASK = r"printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 2 ADDRESS PORT"
ASK_AT_ONCE = f"if {ASK} | grep -q served; then echo answered; else echo blocked; fi; exec sleep 3600"
DENY_ALL = policy("deny", policyTypes=["Ingress", "Egress"])


def wait_for(what: str, condition: Callable[[], bool], seconds: float = CHANGE_SECONDS) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise AssertionError(f"waited {seconds} s for {what}; see 'tools/dev cluster logs network-policy'")


def ask(command: str, address: str, port: int) -> str:
    return command.replace("ADDRESS", address).replace("PORT", str(port))


def reaches(source: str, address: str, port: int = PORT) -> bool:
    done = kubectl("-n", SPACE, "exec", source, "--", "sh", "-c", ask(ASK, address, port), check=False)
    answered = done.stdout.strip().endswith("served")
    if not answered and "nc: " not in done.stderr:  # kubectl's own trouble is no proof of a block
        raise AssertionError(f"kubectl exec {source}: {done.stderr.strip()} {done.stdout.strip()}")
    return answered


def field(kind: str, name: str, path: str) -> str:
    return kubectl("-n", SPACE, "get", kind, name, "-o", f"jsonpath={{{path}}}").stdout


def last_word(name: str) -> str:
    return (kubectl("-n", SPACE, "logs", name).stdout.split() or [""])[-1]


class NetworkPolicy(unittest.TestCase):
    def setUp(self) -> None:
        kubectl("delete", "namespace", SPACE, "--ignore-not-found", "--wait=true", "--timeout=90s")
        apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
        self.addCleanup(kubectl, "delete", "namespace", SPACE, "--wait=false")
        # The service account that every pod wants comes a moment after the namespace.
        wait_for("the service account 'default'",
                 lambda: kubectl("-n", SPACE, "get", "serviceaccount", "default", check=False).returncode == 0)

    def start(self, *pods: dict[str, Any]) -> None:
        apply(SERVICE, *pods)
        names = [f"pod/{each['metadata']['name']}" for each in pods]
        kubectl("-n", SPACE, "wait", "--for=condition=Ready", f"--timeout={READY_SECONDS}s", *names)

    def ends(self) -> tuple[tuple[str, int], tuple[str, int]]:
        return (field("pod", "server", ".status.podIP"), PORT), (field("service", "server", ".spec.clusterIP"), 80)

    def test_default_deny_blocks_and_an_allowance_opens(self):
        self.start(pod("server", SERVE), pod("client", "exec sleep 3600"), pod("stranger", "exec sleep 3600"))
        for address, port in self.ends():
            wait_for(f"{address} to be reached without a policy", lambda: reaches("client", address, port))
        apply(DENY_ALL)
        for address, port in self.ends():
            wait_for(f"{address} to be blocked", lambda: not reaches("client", address, port))
        to_server = {"to": [{"podSelector": {"matchLabels": {"app": "server"}}}]}
        apply(policy("out", policyTypes=["Egress"], egress=[to_server]),
              policy("in", podSelector={"matchLabels": {"app": "server"}}, policyTypes=["Ingress"], ingress=[
                  {"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": "web"}]}]))
        for address, port in self.ends():
            wait_for(f"{address} to be reached again", lambda: reaches("client", address, port))
            self.assertFalse(reaches("stranger", address, port))
        # The node's probes went on all the time.
        self.assertEqual(field("pod", "server", ".status.conditions[?(@.type=='Ready')].status"), "True")
        self.assertEqual(field("pod", "server", ".status.containerStatuses[0].restartCount"), "0")

    def test_a_pod_is_isolated_from_its_first_moment(self):
        self.start(pod("server", SERVE))
        (address, port), _ = self.ends()
        apply(policy("deny-out", podSelector={"matchLabels": {"hasty": "yes"}}, policyTypes=["Egress"]))
        for number in range(6):
            isolated = number > 0  # the first one is free, and shows that the question can be answered
            name = f"hasty-{number}"
            hasty = pod(name, ask(ASK_AT_ONCE, address, port))
            hasty["metadata"]["labels"]["hasty"] = "yes" if isolated else "no"
            self.start(hasty)
            wait_for(f"{name} to tell", lambda: last_word(name) in ("answered", "blocked"))
            self.assertEqual(last_word(name), "blocked" if isolated else "answered")

    def test_what_is_not_understood_is_refused_loudly(self):
        self.start(pod("server", SERVE), pod("client", "exec sleep 3600"))
        (address, port), _ = self.ends()
        apply(policy("odd", podSelector={"matchLabels": {"app": "client"}}, policyTypes=["Egress"], egress=[
            {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": "web"}]}]))
        wait_for("the pod to be cut off", lambda: not reaches("client", address, port))
        wait_for("an Event that says so", lambda: "PolicyRefused" in kubectl("-n", SPACE, "get", "events").stdout)


if __name__ == "__main__":
    unittest.main()
