"""Whether the kernel does what policy_rules means: real TCP and UDP between network namespaces on a bridge.

A namespace of its own stands for the node, three more for pods, so nothing on the machine itself is touched.
Addresses are from 198.18.240.0/24. Needs root, iptables and ipset.
"""

import ctypes
import os
import shutil
import socket
import subprocess
import threading
import unittest
from pathlib import Path
from typing import Any, Callable

from policy_objects import labelled, namespace, pod, policy, tcp

from bed.network_policy import Kernel
from bed.policy_rules import PREFIX, compute

NODE, BRIDGE = f"salvor-np-{os.getpid()}", "np-bridge"
GATEWAY, SERVICE = "198.18.240.1", "198.18.241.9"
PODS = {"web": "198.18.240.11", "db": "198.18.240.12", "job": "198.18.240.13"}
CLONE_NEWNET = 0x40000000
PASSES_SECONDS, BLOCKED_SECONDS = 5.0, 0.4  # a SYN on a bridge is answered within a millisecond
libc = ctypes.CDLL(None, use_errno=True)


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)


def inside(place: str, work: Callable[[], Any]) -> Any:
    """Does `work` in a network namespace; sockets made there stay there. A thread's namespace is its own."""
    result: list[Any] = []

    def enter_and_work() -> None:
        with open(f"/run/netns/{place}") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {place}")
        result.append(work())

    thread = threading.Thread(target=enter_and_work)
    thread.start()
    thread.join(timeout=30)
    return result[0]


def place_of(name: str) -> str:
    return NODE if name == "node" else f"{NODE}-{name}"


def connected(source: str, address: str, port: int, seconds: float) -> socket.socket | None:
    def work() -> socket.socket | None:
        try:
            return socket.create_connection((address, port), timeout=seconds)
        except (TimeoutError, ConnectionRefusedError):
            return None
    return inside(place_of(source), work)


def datagram_answered(source: str, address: str, port: int, seconds: float) -> bool:
    def work() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(seconds)
            asking.sendto(b"question", (address, port))
            try:
                return asking.recv(100) == b"question"
            except TimeoutError:
                return False
    return inside(place_of(source), work)


@unittest.skipUnless(os.geteuid() == 0 and all(map(shutil.which, ("ip", "iptables", "ipset"))),
                     "needs root, iproute2, iptables and ipset")
class Enforced(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.addClassCleanup(cls.take_down)
        run("ip", "netns", "add", NODE)
        cls.in_node("ip", "link", "set", "lo", "up")
        cls.in_node("ip", "link", "add", BRIDGE, "type", "bridge")
        cls.in_node("ip", "addr", "add", f"{GATEWAY}/24", "dev", BRIDGE)
        cls.in_node("ip", "link", "set", BRIDGE, "up")
        cls.in_node("sysctl", "-qw", "net.ipv4.ip_forward=1")
        for number, name in enumerate(PODS):
            cls.add_pod(number, name)
        cls.in_node("iptables", "-t", "nat", "-A", "PREROUTING", "-d", SERVICE, "-p", "tcp", "--dport", "80",
                    "-j", "DNAT", "--to-destination", f"{PODS['db']}:5432")
        itself = ["-s", PODS["db"], "-d", PODS["db"]]
        cls.in_node("iptables", "-t", "nat", "-A", "POSTROUTING", *itself, "-j", "MASQUERADE")
        cls.listeners = [cls.listen(name, port) for name in (*PODS, "node") for port in (5432, 8080, 8081)]
        cls.kernel = Kernel(BRIDGE, ("ip", "netns", "exec", NODE))

    @classmethod
    def take_down(cls) -> None:
        for listener in getattr(cls, "listeners", []):
            listener.close()
        for name in (*PODS, "node"):
            subprocess.run(["ip", "netns", "del", place_of(name)], capture_output=True, timeout=30)

    @classmethod
    def in_node(cls, *command: str) -> None:
        run("ip", "netns", "exec", NODE, *command)

    @classmethod
    def add_pod(cls, number: int, name: str) -> None:
        place, port = place_of(name), f"np-pod{number}"
        run("ip", "netns", "add", place)
        cls.in_node("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", place)
        cls.in_node("ip", "link", "set", port, "master", BRIDGE, "up")
        cls.in_node("ip", "link", "set", port, "type", "bridge_slave", "hairpin", "on")
        run("ip", "netns", "exec", place, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0")  # no wait for its address
        for command in (["addr", "add", f"{PODS[name]}/24", "dev", "eth0"], ["link", "set", "lo", "up"],
                        ["link", "set", "eth0", "up"], ["route", "add", "default", "via", GATEWAY]):
            run("ip", "-n", place, *command)

    @classmethod
    def listen(cls, name: str, port: int) -> socket.socket:
        return inside(place_of(name), lambda: socket.create_server(("::", port), family=socket.AF_INET6,
                                                                   dualstack_ipv6=True, backlog=100))

    def setUp(self) -> None:
        self.addCleanup(self.kernel.remove)

    def apply(self, *policies, without=(), bridge=BRIDGE):
        pods = [pod(name, address, app=name, ports={"postgres": 5432} if name == "db" else {})
                for name, address in PODS.items() if name not in without]
        self.plan = compute(policies, pods, [namespace("shop")], bridge)
        self.kernel.apply(self.plan)

    def assert_passes(self, source: str, target: str, port: int = 5432) -> None:
        address = PODS.get(target, GATEWAY if target == "node" else target)
        made = connected(source, address, port, PASSES_SECONDS)
        self.assertIsNotNone(made, f"{source} cannot reach {target}:{port}")
        made.close()

    def assert_blocked(self, source: str, target: str, port: int = 5432) -> None:
        address = PODS.get(target, GATEWAY if target == "node" else target)
        made = connected(source, address, port, BLOCKED_SECONDS)
        if made:
            made.close()
        self.assertIsNone(made, f"{source} reaches {target}:{port}")

    def test_without_policies_all_passes(self):
        self.apply()
        for source in (*PODS, "node"):
            for target in (*PODS, "node"):
                self.assert_passes(source, target)
        self.assert_passes("web", SERVICE, 80)

    def test_default_deny_in_lets_the_node_in_and_answers_out(self):
        self.apply(policy(select=labelled(app="db"), ingress=[]))
        self.assert_blocked("web", "db")
        self.assert_blocked("web", SERVICE, 80)
        for source, target in (("node", "db"), ("db", "web"), ("db", "node"), ("web", "job"), ("db", "db")):
            self.assert_passes(source, target)

    def test_default_deny_out_blocks_pods_services_and_the_node(self):
        self.apply(policy(select=labelled(app="web"), egress=[]))
        for target in ("db", "job", "node"):
            self.assert_blocked("web", target)
        self.assert_blocked("web", SERVICE, 80)
        for source, target in (("db", "web"), ("node", "web"), ("web", "web")):
            self.assert_passes(source, target)

    def test_selected_peers_on_selected_ports(self):
        self.apply(policy("deny", ingress=[]), policy("allow", select=labelled(app="db"), ingress=[
            {"from": [{"podSelector": labelled(app="web")}], "ports": [tcp(8080, 8081)]}]))
        self.assert_passes("web", "db", 8080)
        self.assert_passes("web", "db", 8081)
        self.assert_blocked("web", "db", 5432)
        self.assert_blocked("job", "db", 8080)
        self.assert_blocked("db", "web", 8080)

    def test_named_port_in_both_directions(self):
        self.apply(policy("in", select=labelled(app="db"), ingress=[{"ports": [tcp("postgres")]}]),
                   policy("out", select=labelled(app="web"), egress=[{"ports": [tcp("postgres")]}]))
        self.assert_passes("web", "db")
        self.assert_passes("web", SERVICE, 80)
        self.assert_blocked("web", "db", 8080)
        self.assert_blocked("job", "db", 8080)
        self.assert_blocked("web", "job")

    def test_block_with_exception(self):
        self.apply(policy(select=labelled(app="web"), egress=[
            {"to": [{"ipBlock": {"cidr": "198.18.240.0/24", "except": [f"{PODS['job']}/32"]}}]}]))
        for target in ("db", "node"):
            self.assert_passes("web", target)
        self.assert_blocked("web", "job")

    def test_both_ends_have_to_agree(self):
        out = policy("out", select=labelled(app="web"), egress=[{"to": [{"podSelector": labelled(app="db")}]}])
        self.apply(policy("in", select=labelled(app="db"), ingress=[]), out)
        self.assert_blocked("web", "db")
        self.apply(policy("in", select=labelled(app="db"), ingress=[{}]), out)
        self.assert_passes("web", "db")

    def test_datagrams(self):
        echo = inside(place_of("db"), lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        echo.bind(("0.0.0.0", 5353))
        self.addCleanup(echo.close)
        threading.Thread(target=lambda: [echo.sendto(*echo.recvfrom(100)) for _ in range(1)], daemon=True).start()
        allow_tcp = policy(select=labelled(app="db"), ingress=[{"ports": [tcp(5353)]}])
        self.apply(allow_tcp)
        self.assertFalse(datagram_answered("web", PODS["db"], 5353, BLOCKED_SECONDS))
        allow_udp = policy("udp", select=labelled(app="db"), ingress=[{"ports": [tcp(5353, protocol="UDP")]}])
        self.apply(allow_tcp, allow_udp)
        self.assertTrue(datagram_answered("web", PODS["db"], 5353, PASSES_SECONDS))

    def test_a_pod_reaches_itself_through_its_service(self):
        self.apply(policy(select=labelled(app="db"), ingress=[], egress=[]))
        self.assert_passes("db", SERVICE, 80)

    def test_sctp_rules_load(self):
        self.apply(policy(ingress=[{"ports": [tcp(9, protocol="SCTP")]}], egress=[{"ports": [tcp(9, 12, "SCTP")]}]))
        self.assert_blocked("web", "db")

    def test_what_is_refused_is_cut_off(self):
        self.apply(policy("allow", ingress=[{}], egress=[{}]), policy(select=labelled(app="db"), ingress=[{"when": 1}]))
        for source, target in (("web", "db"), ("db", "web"), ("db", "node")):
            self.assert_blocked(source, target)
        self.assert_passes("web", "job")

    def test_a_connection_that_was_there_is_stopped_and_goes_on_when_allowed_again(self):
        self.apply()
        client = connected("web", PODS["db"], 5432, PASSES_SECONDS)
        listener = self.listeners[list(PODS).index("db") * 3]
        listener.settimeout(PASSES_SECONDS)
        server, _ = listener.accept()
        self.addCleanup(client.close)
        self.addCleanup(server.close)
        client.sendall(b"before")
        self.assertEqual(server.recv(100), b"before")
        self.apply(policy(select=labelled(app="db"), ingress=[]))
        client.sendall(b"meanwhile")
        server.settimeout(BLOCKED_SECONDS)
        self.assertRaises(TimeoutError, server.recv, 100)
        self.apply()
        server.settimeout(PASSES_SECONDS)
        self.assertEqual(server.recv(100), b"meanwhile")  # sent again by TCP

    def test_an_accept_of_others_does_not_let_through(self):
        for chain in ("FORWARD", "INPUT"):
            self.in_node("iptables", "-I", chain, "1", "-j", "ACCEPT")
            self.addCleanup(self.in_node, "iptables", "-D", chain, "-j", "ACCEPT")
        self.apply(policy(ingress=[], egress=[]))
        for target in ("db", "node"):
            self.assert_blocked("web", target)

    def test_a_pod_that_is_not_known_yet_has_no_network(self):
        self.apply(without=("job",))
        for source, target in (("job", "db"), ("db", "job"), ("job", "node")):
            self.assert_blocked(source, target)
        for source, target in (("node", "job"), ("web", "db")):
            self.assert_passes(source, target)
        self.apply(without=("job",), bridge="")
        self.assert_passes("job", "db")

    def test_no_way_around_by_ipv6(self):
        def link_local() -> str:
            lines = Path("/proc/thread-self/net/if_inet6").read_text().split("\n")
            packed = next(line.split()[0] for line in lines if line.endswith("eth0"))
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(packed))
        db = inside(place_of("db"), link_local)
        self.assert_passes("web", f"{db}%eth0")
        self.apply()
        self.assert_blocked("web", f"{db}%eth0")

    def test_somebody_who_flushes_is_noticed(self):
        deny = policy(select=labelled(app="db"), ingress=[{"from": [{"podSelector": labelled(app="job")}]}])
        for damage in (["iptables", "-t", "mangle", "-F"], ["iptables", "-t", "mangle", "-F", "FORWARD"],
                       ["ip6tables", "-t", "mangle", "-F"], ["ipset", "flush"]):
            with self.subTest(" ".join(damage)):
                self.apply(deny)
                self.assertTrue(self.kernel.holds(self.plan))
                self.in_node(*damage)
                self.assertFalse(self.kernel.holds(self.plan))
                self.kernel.apply(self.plan)
                self.assert_blocked("web", "db")
                self.assert_passes("job", "db")

    def test_the_bridge_is_made_to_be_seen(self):
        self.in_node("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0")
        self.apply(policy(ingress=[]))
        self.assert_blocked("web", "db")

    def test_removal_leaves_nothing_of_ours_and_all_of_others(self):
        def shown(*command: str) -> str:
            return self.kernel.run(*command)
        self.apply(policy(ingress=[{"from": [{"podSelector": {}}]}], egress=[]))
        self.assertIn(PREFIX, shown("iptables-save"))
        self.kernel.remove()
        for command in ("iptables-save", "ip6tables-save"):
            self.assertNotIn(PREFIX, shown(command))
        self.assertEqual(shown("ipset", "list", "-name"), "")
        self.assertIn(SERVICE, shown("iptables-save", "-t", "nat"))
        self.assert_passes("web", "db")


if __name__ == "__main__":
    unittest.main()
