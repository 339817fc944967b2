"""NetworkPolicies of the running cluster really block and really allow, between pods and through a Service."""

import json
import subprocess
import unittest
from pathlib import Path
from typing import Any

from support import pods_of, wait_for

ROOT = Path(__file__).resolve().parents[3]
SPACE = "network-policy-test"
IMAGE = "salvor.test/busybox:1"
PORT = 8080
# The limit of each wait, which only a failure reaches: on an idle machine a policy is in force within a fraction of a
# second.
SECONDS = 120
REACHED, BLOCKED = "reached", "blocked"


def kubectl(*arguments: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run([str(ROOT / "tools/dev"), "cluster", "kubectl", *arguments], input=text, text=True,
                              capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"kubectl {' '.join(arguments)}: no end after {SECONDS} s") from late
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
# The request is not made by wget: the one of busybox-static crashes when it is given a time limit.
ASK = r"printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 2 ADDRESS PORT"
ASK_AT_ONCE = f"if {ASK} | grep -q served; then echo {REACHED}; else echo {BLOCKED}; fi; exec sleep 3600"
ASK_UNTIL_REACHED = f"until {ASK} | grep -q served; do sleep 1; done; echo {REACHED}; exec sleep 3600"
DENY_ALL = policy("deny", policyTypes=["Ingress", "Egress"])


def ask(command: str, address: str, port: int) -> str:
    return command.replace("ADDRESS", address).replace("PORT", str(port))


def reached(source: str, address: str, port: int = PORT) -> str:
    """REACHED, BLOCKED, or kubectl's own trouble, which proves neither."""
    done = kubectl("-n", SPACE, "exec", source, "--", "sh", "-c", ask(ASK, address, port), check=False)
    if done.stdout.strip().endswith("served"):
        return REACHED
    return BLOCKED if "nc: " in done.stderr else f"kubectl exec {source}: {done.stderr.strip()} {done.stdout.strip()}"


def enforcer() -> str:
    log = subprocess.run([str(ROOT / "tools/dev"), "cluster", "logs", "network-policy"], text=True, capture_output=True,
                         timeout=SECONDS)
    return f"the enforcer of policies said last: {log.stdout[-1500:]}{log.stderr[-500:]}"


def wait_until(wanted: str, source: str, address: str, port: int) -> None:
    seen: list[str] = []

    def asked() -> bool:
        seen.append(reached(source, address, port))
        return seen[-1] == wanted
    wait_for(f"{address}:{port} to be {wanted} from {source}", asked, SECONDS,
             lambda: f"{seen[-3:]}, {pods_of(SPACE)}, {enforcer()}")


READY = ".status.conditions[?(@.type=='Ready')].status"


def namespace() -> str:
    """Its status, or nothing when there is none."""
    return kubectl("get", "namespace", SPACE, "--ignore-not-found", "-o", "jsonpath={.status}").stdout


def field(kind: str, name: str, path: str) -> str:
    return kubectl("-n", SPACE, "get", kind, name, "-o", f"jsonpath={{{path}}}").stdout


def last_word(name: str) -> str:
    return (kubectl("-n", SPACE, "logs", name, check=False).stdout.split() or [""])[-1]


class NetworkPolicy(unittest.TestCase):
    def setUp(self) -> None:
        kubectl("delete", "namespace", SPACE, "--ignore-not-found", "--wait=false")
        wait_for("the namespace of an earlier run to be gone", lambda: not namespace(), SECONDS,
                 lambda: f"{namespace()}, {pods_of(SPACE)}")
        apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
        self.addCleanup(kubectl, "delete", "namespace", SPACE, "--wait=false")
        # The service account that every pod wants comes a moment after the namespace.
        wait_for("the service account 'default'",
                 lambda: kubectl("-n", SPACE, "get", "serviceaccount", "default", check=False).returncode == 0, SECONDS,
                 lambda: kubectl("-n", SPACE, "get", "serviceaccounts", check=False).stdout or namespace())

    def start(self, *pods: dict[str, Any]) -> None:
        apply(SERVICE, *pods)
        for each in pods:
            self.wait_until_ready(each["metadata"]["name"])

    def wait_until_ready(self, name: str) -> None:
        wait_for(f"pod {name} to be Ready", lambda: field("pod", name, READY) == "True", SECONDS,
                 lambda: f"{pods_of(SPACE)}, {kubectl('-n', SPACE, 'events', check=False).stdout[-1500:]}")

    def ends(self) -> tuple[tuple[str, int], tuple[str, int]]:
        return (field("pod", "server", ".status.podIP"), PORT), (field("service", "server", ".spec.clusterIP"), 80)

    def test_default_deny_blocks_and_an_allowance_opens(self):
        self.start(pod("server", SERVE), pod("client", "exec sleep 3600"), pod("stranger", "exec sleep 3600"))
        for address, port in self.ends():
            wait_until(REACHED, "client", address, port)
        apply(DENY_ALL)
        for address, port in self.ends():
            wait_until(BLOCKED, "client", address, port)
        to_server = {"to": [{"podSelector": {"matchLabels": {"app": "server"}}}]}
        apply(policy("out", policyTypes=["Egress"], egress=[to_server]),
              policy("in", podSelector={"matchLabels": {"app": "server"}}, policyTypes=["Ingress"], ingress=[
                  {"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": "web"}]}]))
        for address, port in self.ends():
            wait_until(REACHED, "client", address, port)
            self.assertNotEqual(reached("stranger", address, port), REACHED)
            wait_until(BLOCKED, "stranger", address, port)  # by an answer, not by kubectl's trouble
        # The node's probes are let through: without them it would be unready, and stay so. One that a busy machine
        # kept from its second comes again.
        self.wait_until_ready("server")
        self.assertEqual(field("pod", "server", ".status.containerStatuses[0].restartCount"), "0")

    def test_a_pod_is_isolated_from_its_first_moment(self):
        self.start(pod("server", SERVE))
        (address, port), _ = self.ends()
        apply(policy("deny-out", podSelector={"matchLabels": {"hasty": "yes"}}, policyTypes=["Egress"]))
        for number in range(6):
            isolated = number > 0  # the first one is free, and shows that the question can be answered
            name = f"hasty-{number}"
            hasty = pod(name, ask(ASK_AT_ONCE if isolated else ASK_UNTIL_REACHED, address, port))
            hasty["metadata"]["labels"]["hasty"] = "yes" if isolated else "no"
            self.start(hasty)
            # Its last word stays.
            wait_for(f"{name} to tell", lambda: last_word(name) in (REACHED, BLOCKED), SECONDS,
                     lambda: f"its last word '{last_word(name)}', {pods_of(SPACE)}, {enforcer()}")
            self.assertEqual(last_word(name), BLOCKED if isolated else REACHED)

    def test_what_is_not_understood_is_refused_loudly(self):
        self.start(pod("server", SERVE), pod("client", "exec sleep 3600"))
        (address, port), _ = self.ends()
        apply(policy("odd", podSelector={"matchLabels": {"app": "client"}}, policyTypes=["Egress"], egress=[
            {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": "web"}]}]))
        wait_until(BLOCKED, "client", address, port)

        def events() -> str:
            return kubectl("-n", SPACE, "get", "events").stdout
        wait_for("an Event that says so", lambda: "PolicyRefused" in events(), SECONDS,
                 lambda: f"{events()[-1500:]}, {enforcer()}")


if __name__ == "__main__":
    unittest.main()
