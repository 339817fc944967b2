"""Keeps NetworkPolicies in force on this node: watches the API server, and applies what policy_rules computes.

    python3 -m bed.network_policy --kubeconfig FILE --kubectl PROGRAM [--bridge NAME] [--once | --remove]

What is covered stands in policy_rules. The rules outlive a killed enforcer, and a new one takes them over; SIGTERM
takes them away. While it does not run, pods that start have no network (their address is not known yet).
"""

import argparse
import base64
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from datetime import datetime, timezone
from pathlib import Path

from bed import policy_rules
from bed.policy_rules import PREFIX, Json, Plan, Refusal
from bed.settings import POD_BRIDGE

RESOURCES = {
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
}
CNI_RESULTS = Path("/var/lib/cni/results")  # where libcni notes the address of a pod before its containers start
WATCH_SECONDS = 120
SETTLE_SECONDS = 0.03  # changes come in bursts; one application for all of them
LOOK_SECONDS = 0.1  # between looks at CNI_RESULTS
VERIFY_SECONDS = 3.0  # between looks whether the kernel still holds what was applied
REMOVE_SECONDS = 5.0  # the kernel lets go of a set a moment after the last rule that named it


def say(text: str) -> None:
    print(f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ} {text}", file=sys.stderr, flush=True)


class Kernel:
    """iptables, ip6tables and ipset of the network namespace that `prefix` leads into."""

    def __init__(self, bridge: str, prefix: tuple[str, ...] = ()) -> None:
        self.bridge, self.prefix = bridge, prefix
        self.applied: tuple[str, ...] = ()

    def run(self, *command: str, text: str = "") -> str:
        done = subprocess.run([*self.prefix, *command], input=text, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def apply(self, plan: Plan) -> None:
        """New sets first, then all chains in one step, then the sets that no rule names any more."""
        self._let_bridge_be_seen()
        self.run("ipset", "-exist", "restore", text=plan.ipset_text())
        self._restore("ip", plan.iptables_text(self._saved("ip")))
        if self.bridge:
            self._restore("ip6", policy_rules.ipv6_plan(self.bridge).iptables_text(self._saved("ip6")))
        self._destroy_sets(keep=set(plan.sets))
        self.applied = self._held(plan)

    def holds(self, plan: Plan) -> bool:
        """Whether what was applied is still there; forgotten sets are given another try to go."""
        self._let_bridge_be_seen()
        self._destroy_sets(keep=set(plan.sets))
        return self._held(plan) == self.applied

    def remove(self) -> None:
        """Everything of ours goes, whoever applied it."""
        for family in ("ip", "ip6"):
            text = policy_rules.removal_text(self._saved(family))
            if text:
                self._restore(family, text)
        limit = time.monotonic() + REMOVE_SECONDS
        while left := self._destroy_sets(keep=set()):
            if time.monotonic() > limit:
                raise RuntimeError(f"these sets stay in use: {' '.join(left)}. See 'iptables-save' for who names them.")
            time.sleep(0.02)

    def _saved(self, family: str) -> str:
        return self.run(f"{family}tables-save", "-t", "mangle")

    def _restore(self, family: str, text: str) -> None:
        self.run(f"{family}tables-restore", "--noflush", "--wait", "10", text=text)

    def _sets(self) -> list[str]:
        return [name for name in self.run("ipset", "list", "-name").split() if name.startswith(f"{PREFIX}-")]

    def _destroy_sets(self, keep: set[str]) -> list[str]:
        left = []
        for name in set(self._sets()) - keep:
            try:
                self.run("ipset", "destroy", name)
            except RuntimeError:
                left.append(name)
        return left

    def _held(self, plan: Plan) -> tuple[str, ...]:
        rules = [line for family in ("ip", "ip6") for line in self._saved(family).splitlines() if PREFIX in line]
        members = [line for line in self.run("ipset", "save").splitlines() if line.startswith("add ")]
        return (*rules, *sorted(line for line in members if line.split()[1] in plan.sets))

    def _let_bridge_be_seen(self) -> None:
        """Packets between pods would cross the bridge without meeting a rule if these two were not set."""
        for name in ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"):
            if self.run("sysctl", "-n", name).strip() != "1":
                say(f"{name} was off, and no policy was in force between pods of this node: switched on")
                self.run("sysctl", "-qw", f"{name}=1")


class Api:
    """The API server, with the client certificate of a kubeconfig."""

    def __init__(self, kubeconfig: str, kubectl: str) -> None:
        view = ["config", "view", "--raw", "--flatten", "--minify", "-o", "json"]
        command = [kubectl, "--kubeconfig", kubeconfig, *view]
        shown = subprocess.run(command, check=True, capture_output=True, timeout=30)
        config = json.loads(shown.stdout)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        server = urllib.parse.urlsplit(cluster["server"])
        self.host, self.port = server.hostname or "", server.port or 443
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self.tls = ssl.create_default_context(cadata=authority)
        with tempfile.TemporaryDirectory() as folder:  # ssl takes a client's certificate from files only
            for name in ("client-certificate-data", "client-key-data"):
                Path(folder, name).write_bytes(base64.b64decode(user[name]))
            self.tls.load_cert_chain(f"{folder}/client-certificate-data", f"{folder}/client-key-data")

    def ask(self, path: str, method: str = "GET", body: Json | None = None,
            seconds: float = 30) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection(self.host, self.port, context=self.tls, timeout=seconds)
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status >= 300:
            raise OSError(f"{method} {path}: {answer.status} {answer.read(300).decode(errors='replace')}")
        return answer

    def list(self, path: str) -> Json:
        return json.load(self.ask(path))


class Watched:
    """All objects of one kind, kept current by a thread of its own."""

    def __init__(self, api: Api, path: str, changed: threading.Event) -> None:
        self.api, self.path, self.changed = api, path, changed
        self.objects: dict[str, Json] = {}
        self.complete = False
        self.lock = threading.Lock()

    def start(self) -> None:
        threading.Thread(target=self._keep, daemon=True, name=self.path).start()

    def all(self) -> list[Json]:
        with self.lock:
            return list(self.objects.values())

    def fill(self) -> str:
        listed = self.api.list(self.path)
        with self.lock:
            self.objects = {each["metadata"]["uid"]: each for each in listed["items"]}
            self.complete = True
        self.changed.set()
        return listed["metadata"]["resourceVersion"]

    def _keep(self) -> None:
        told = ""
        while True:
            try:
                version = self.fill()
                told = ""
                while version:
                    version = self._follow(version)
            except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
                if str(error) != told:  # an API server that is down for a while is told once
                    say(f"watching {self.path} failed, trying again; the last rules stay: {error}")
                told = str(error)
                time.sleep(0.5)

    def _follow(self, version: str) -> str:
        """One watch, to its ordinary end; gives the version to go on from, or nothing if all has to be listed again."""
        query = f"?watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}"
        with self.api.ask(self.path + query, seconds=WATCH_SECONDS + 30) as stream:
            while line := stream.readline():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return ""
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._take(event["type"], event["object"])
        return version

    def _take(self, kind: str, thing: Json) -> None:
        with self.lock:
            if kind == "DELETED":
                self.objects.pop(thing["metadata"]["uid"], None)
            else:
                self.objects[thing["metadata"]["uid"]] = thing
        self.changed.set()


class EarlyAddresses:
    """Addresses of pods as CNI gave them. The API tells them only a second after the containers started."""

    def __init__(self, folder: Path = CNI_RESULTS) -> None:
        self.folder = folder
        self.seen: list[tuple[int, int, str]] = []
        self.addresses: dict[tuple[str, str, str], str] = {}  # by namespace, name and uid

    def look(self) -> bool:
        """True if something changed."""
        try:
            states = [(entry.stat(), entry.path) for entry in os.scandir(self.folder)]
            found = sorted((state.st_mtime_ns, state.st_size, path) for state, path in states)
        except OSError:
            found = []  # not there yet, or a file went while we looked: the next look tells
        if found == self.seen:
            return False
        self.seen = found
        self.addresses = {}
        for _, _, path in found:  # oldest first, so that a new sandbox of a pod wins
            self._read(path)
        return True

    def _read(self, path: str) -> None:
        try:
            noted = json.loads(Path(path).read_text())
            said = dict(noted["cniArgs"])
            ips = [each["address"].split("/")[0] for each in noted["result"].get("ips") or []]
        except (OSError, ValueError, KeyError, TypeError):
            return  # half-written or gone: once it is whole it looks different, and all is read again
        key = (said.get("K8S_POD_NAMESPACE", ""), said.get("K8S_POD_NAME", ""), said.get("K8S_POD_UID", ""))
        for address in ips:
            if ":" not in address and not address.startswith("127."):  # CNI notes the loopback as well
                self.addresses[key] = address

    def added_to(self, pods: list[Json]) -> list[Json]:
        return [self._added_to(pod) for pod in pods]

    def _added_to(self, pod: Json) -> Json:
        meta = pod["metadata"]
        address = self.addresses.get((meta["namespace"], meta["name"], meta["uid"]))
        if not address or pod["spec"].get("hostNetwork"):
            return pod
        return {**pod, "status": {**(pod.get("status") or {}), "podIP": address}}


class Enforcer:
    def __init__(self, api: Api, kernel: Kernel, early: EarlyAddresses) -> None:
        self.api, self.kernel, self.early = api, kernel, early
        self.changed, self.stopping = threading.Event(), threading.Event()
        self.watched = {name: Watched(api, path, self.changed) for name, path in RESOURCES.items()}
        self.plan: Plan | None = None
        self.told: set[Refusal] = set()

    def once(self) -> None:
        """Applies what is there now. Nobody would learn of later pods, so unknown addresses are not dropped."""
        for each in self.watched.values():
            each.fill()
        self.early.look()
        self.apply(self.compute(bridge=""))

    def run(self) -> None:
        for each in self.watched.values():
            each.start()
        verified = time.monotonic()
        while not self.stopping.is_set():
            news = self.changed.wait(LOOK_SECONDS)
            if news:
                self.stopping.wait(SETTLE_SECONDS)
                self.changed.clear()
            news = self.early.look() or news
            verify = time.monotonic() - verified > VERIFY_SECONDS
            if not (news or verify) or not all(each.complete for each in self.watched.values()):
                continue
            verified = time.monotonic() if verify else verified
            try:
                self.bring_about(verify)
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                self.plan = None  # so that the next round applies anew
                say(f"applying failed, trying again; the last rules stay: {error}")
        self.kernel.remove()
        say("stopped; all rules and sets are taken away")

    def bring_about(self, verify: bool) -> None:
        plan = self.compute(self.kernel.bridge)
        if plan != self.plan:
            self.apply(plan)
        elif verify and not self.kernel.holds(plan):
            say("somebody changed our rules: applied again")
            self.apply(plan)

    def compute(self, bridge: str) -> Plan:
        now = {name: each.all() for name, each in self.watched.items()}
        return policy_rules.compute(now["policies"], self.early.added_to(now["pods"]), now["namespaces"], bridge)

    def apply(self, plan: Plan) -> None:
        self.kernel.apply(plan)
        self.plan = plan
        pods = sum(1 for chain in plan.chains if chain.startswith((f"{PREFIX}-E-", f"{PREFIX}-I-")))
        say(f"in force: {len(self.watched['policies'].all())} policies, {pods} chains of isolated pods, "
            f"{len(plan.sets)} sets")
        for refusal in set(plan.refused) - self.told:
            self.tell(refusal)
        self.told = set(plan.refused)

    def tell(self, refusal: Refusal) -> None:
        message = (f"refused: {refusal.reason}, which this test-bed does not enforce. All pods that it selects are cut "
                   f"off ({', '.join(refusal.pods) or 'none now'}) until it is changed or deleted.")
        say(f"NetworkPolicy {refusal.namespace}/{refusal.name} {message}")
        now = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
        event = {
            "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "PolicyRefused", "message": message,
            "metadata": {"generateName": f"{refusal.name[:50]}.", "namespace": refusal.namespace},
            "involvedObject": {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "uid": refusal.uid,
                               "namespace": refusal.namespace, "name": refusal.name},
            "source": {"component": "salvor-network-policy"}, "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        }
        try:
            self.api.ask(f"/api/v1/namespaces/{refusal.namespace}/events", "POST", event).read()
        except OSError as error:
            say(f"the refusal could not be told as an Event: {error}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bed.network_policy", description="Keeps NetworkPolicies in force (IPv4).")
    parser.add_argument("--kubeconfig")
    parser.add_argument("--kubectl")
    parser.add_argument("--bridge", default=POD_BRIDGE, help=f"the bridge of the pods, {POD_BRIDGE} unless told")
    parser.add_argument("--once", action="store_true", help="apply what is there now, leave the rules, and end")
    parser.add_argument("--remove", action="store_true", help="take away all rules and sets, and end")
    asked = parser.parse_args()
    kernel = Kernel(asked.bridge)
    if asked.remove:
        kernel.remove()
        return 0
    if not (asked.kubeconfig and asked.kubectl):
        parser.error("--kubeconfig and --kubectl are needed, unless with --remove")
    enforcer = Enforcer(Api(asked.kubeconfig, asked.kubectl), kernel, EarlyAddresses())
    if asked.once:
        enforcer.once()
        return 0
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: enforcer.stopping.set())
    enforcer.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
