"""Turns Kubernetes NetworkPolicies into rules of the kernel: a pure function, nothing here touches the system.

Understood: podSelector and namespaceSelector (matchLabels, matchExpressions), ipBlock with except, ports by number,
range (endPort) and name for TCP, UDP and SCTP, policyTypes; default deny; several policies add up. Pods on the host's
network and ended pods are neither selected nor peers. A policy with anything else in it is refused: every pod that it
may select is cut off in both directions, whatever other policies allow. IPv4 only: an IPv6 ipBlock matches nothing.

The rules stand in the table mangle, in FORWARD (between pods, on the bridge as well, and beyond) and INPUT (to the
node). There they come after the destination address of a Service was replaced by that of a pod, and before any
ACCEPT that kube-proxy keeps in the table filter. OUTPUT is left alone: the node may always reach its pods.
"""

import hashlib
import ipaddress
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable

Json = dict[str, Any]
PREFIX = "SALVOR-NP"
FORWARD, NODE = PREFIX, f"{PREFIX}-NODE"
EGRESS, INGRESS = f"{PREFIX}-E", f"{PREFIX}-I"
HOOKS = {"FORWARD": FORWARD, "INPUT": NODE}
PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}


class Refused(Exception):
    """A policy says something that is not understood here."""


@dataclass(frozen=True)
class Pod:
    namespace: str
    name: str
    labels: Json
    address: str
    ports: tuple[tuple[str, str, int], ...]  # name, protocol, number


@dataclass(frozen=True)
class Refusal:
    namespace: str
    name: str
    uid: str
    reason: str
    pods: tuple[str, ...]


@dataclass
class Plan:
    """The rules that are to be in force. Sets are named after their content, so a set of a given name never changes."""
    chains: dict[str, list[str]] = field(default_factory=dict)
    sets: dict[str, tuple[str, list[str]]] = field(default_factory=dict)  # name: type, members
    refused: list[Refusal] = field(default_factory=list)

    def add_set(self, kind: str, members: Iterable[str]) -> str:
        listed = sorted(set(members))
        name = f"{PREFIX}-{_digest(kind, *listed)}"
        self.sets[name] = (kind, listed)
        return name

    def ipset_text(self) -> str:
        """The input of `ipset -exist restore`; adds, never changes or removes."""
        lines = []
        for name, (kind, members) in self.sets.items():
            lines.append(f"create {name} {kind} family inet")
            lines += [f"add {name} {member}" for member in members]
        return "".join(line + "\n" for line in lines)

    def iptables_text(self, saved: str = "") -> str:
        """Input of `iptables-restore --noflush`, which does all or nothing; `saved` is what iptables-save shows now."""
        stale = sorted(chains_in(saved) - set(self.chains))
        lines = ["*mangle", *(f":{chain} - [0:0]" for chain in [*self.chains, *stale])]
        lines += [f"-A {chain} {rule}" for chain, rules in self.chains.items() for rule in rules]
        lines += [f"-I {hook} 1 -j {chain}" for hook, chain in HOOKS.items()
                  if chain in self.chains and f"-A {hook} -j {chain}" not in saved.splitlines()]
        lines += [f"-X {chain}" for chain in stale]
        return "\n".join([*lines, "COMMIT", ""])


def removal_text(saved: str) -> str:
    """Takes away, by `iptables-restore --noflush`, every chain of ours in iptables-save's text, and the jumps to it."""
    chains = sorted(chains_in(saved))
    if not chains:
        return ""
    jumps = [f"-D {hook} -j {chain}" for hook, chain in HOOKS.items() for line in saved.splitlines()
             if line == f"-A {hook} -j {chain}"]
    return "\n".join(["*mangle", *(f":{chain} - [0:0]" for chain in chains), *jumps,
                      *(f"-X {chain}" for chain in chains), "COMMIT", ""])


def chains_in(saved: str) -> set[str]:
    names = (line[1:].split()[0] for line in saved.splitlines() if line.startswith(f":{PREFIX}"))
    return {name for name in names if name == PREFIX or name.startswith(f"{PREFIX}-")}


def ipv6_plan(bridge: str) -> Plan:
    """Every interface has a link-local IPv6 address, which would be a way around all of this: none on the bridge."""
    return Plan(chains={FORWARD: [f"-i {bridge} -j DROP", f"-o {bridge} -j DROP"], NODE: [f"-i {bridge} -j DROP"]})


def compute(policies: Iterable[Json], pods: Iterable[Json], namespaces: Iterable[Json], bridge: str = "") -> Plan:
    """With `bridge`, its traffic from or to an address that no known pod has is dropped: a pod that has only just
    started cannot say a word before its policies are in force."""
    plan, world = Plan(), _World(pods, namespaces)
    for chain in (FORWARD, NODE, EGRESS, INGRESS):
        plan.chains[chain] = []
    known = plan.add_set("hash:ip", world.by_address) if bridge else ""
    isolated = _isolation(policies, world, plan)
    for address, pod in world.by_address.items():
        _add_pod(plan, world, pod, isolated[address])
    # Answers pass, on the strength of their question having passed. Questions are judged packet by packet, so that
    # a new policy stops a connection that was there before it.
    common = ["-m conntrack --ctstate ESTABLISHED --ctdir REPLY -j RETURN",
              "-p icmp -m conntrack --ctstate RELATED -j RETURN"]
    unknown = ' -m comment --comment "no known pod" -j DROP'
    from_unknown = [f"-i {bridge} -m set ! --match-set {known} src{unknown}"] if bridge else []
    to_unknown = [f"-o {bridge} -m set ! --match-set {known} dst{unknown}"] if bridge else []
    plan.chains[FORWARD] = [*common, *from_unknown, *to_unknown, f"-j {EGRESS}", f"-j {INGRESS}"]
    plan.chains[NODE] = ["-i lo -j RETURN", *common, *from_unknown, f"-j {EGRESS}"]
    return plan


# --- which pods there are

class _World:
    def __init__(self, pods: Iterable[Json], namespaces: Iterable[Json]) -> None:
        self.namespaces = {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in namespaces}
        self.by_address: dict[str, Pod] = {}
        # The newer of two pods with one address that is not being deleted has it.
        for pod in sorted(pods, key=lambda each: ("deletionTimestamp" not in each["metadata"],
                                                  each["metadata"].get("creationTimestamp") or "")):
            if _on_pod_network(pod):
                self.by_address[pod["status"]["podIP"]] = _pod(pod)
        self.by_address = dict(sorted(self.by_address.items()))
        self.pods = list(self.by_address.values())


def _on_pod_network(pod: Json) -> bool:
    status = pod.get("status") or {}
    address = status.get("podIP") or ""
    return (not pod["spec"].get("hostNetwork") and status.get("phase") not in ("Succeeded", "Failed")
            and address != "" and ":" not in address)


def _pod(pod: Json) -> Pod:
    meta, spec = pod["metadata"], pod["spec"]
    containers = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    ports = [(port["name"], port.get("protocol") or "TCP", int(port["containerPort"]))
             for container in containers for port in container.get("ports") or [] if port.get("name")]
    return Pod(meta["namespace"], meta["name"], meta.get("labels") or {}, pod["status"]["podIP"], tuple(ports))


# --- reading policies; what is not in these lists is refused

def _only(value: Any, keys: set[str], where: str) -> Json:
    if not isinstance(value, dict):
        raise Refused(f"{where} is not an object")
    unknown = sorted(set(value) - keys)
    if unknown:
        raise Refused(f"{where} has {', '.join(unknown)}")
    return {key: item for key, item in value.items() if item is not None}


def _check_selector(selector: Any, where: str) -> None:
    read = _only(selector, {"matchLabels", "matchExpressions"}, where)
    for expression in read.get("matchExpressions") or []:
        one = _only(expression, {"key", "operator", "values"}, f"{where}.matchExpressions")
        operator, values = one.get("operator"), one.get("values") or []
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            raise Refused(f"{where} has the operator {operator}")
        if "key" not in one or bool(values) != (operator in ("In", "NotIn")):
            raise Refused(f"{where} has a matchExpression that is not whole")


def _check_peer(peer: Any, where: str) -> None:
    read = _only(peer, {"podSelector", "namespaceSelector", "ipBlock"}, where)
    if not read or ("ipBlock" in read and len(read) > 1):
        raise Refused(f"{where} is neither selectors nor one ipBlock")
    for key in ("podSelector", "namespaceSelector"):
        if key in read:
            _check_selector(read[key], f"{where}.{key}")
    if "ipBlock" in read:
        block = _only(read["ipBlock"], {"cidr", "except"}, f"{where}.ipBlock")
        try:
            _block_networks(block)
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(f"{where}.ipBlock cannot be read: {error}") from error


def _check_port(port: Any, where: str) -> None:
    read = _only(port, {"protocol", "port", "endPort"}, where)
    number, end = read.get("port"), read.get("endPort")
    if read.get("protocol", "TCP") not in PROTOCOLS:
        raise Refused(f"{where} has the protocol {read['protocol']}")
    if not isinstance(number, (int, str, type(None))):
        raise Refused(f"{where} has a port that is neither a number nor a name")
    if end is not None and not (isinstance(number, int) and isinstance(end, int) and number <= end):
        raise Refused(f"{where} has an endPort without a lower port number")


def _check_rule(rule: Any, peer_key: str, where: str) -> None:
    read = _only(rule, {"ports", peer_key}, where)
    for peer in read.get(peer_key) or []:
        _check_peer(peer, f"{where}.{peer_key}")
    for port in read.get("ports") or []:
        _check_port(port, f"{where}.ports")
        if peer_key == "to" and isinstance(port.get("port"), str) and any("ipBlock" in p for p in read.get("to") or []):
            raise Refused(f"{where} has a named port towards an ipBlock, where no pod says what it means")


def _directions(spec: Json) -> set[str]:
    """Checks the whole policy, and says for what it isolates the pods that it selects."""
    read = _only(spec, {"podSelector", "policyTypes", "ingress", "egress"}, "spec")
    types = read.get("policyTypes") or ["Ingress", *(["Egress"] if read.get("egress") else [])]
    if not set(types) <= {"Ingress", "Egress"}:
        raise Refused(f"spec.policyTypes has {', '.join(sorted(set(types) - {'Ingress', 'Egress'}))}")
    for direction, peer_key in (("ingress", "from"), ("egress", "to")):
        for rule in read.get(direction) or []:
            _check_rule(rule, peer_key, f"spec.{direction}")
    return set(types)


# --- who is meant

def _matches(selector: Json, labels: Json) -> bool:
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    tests: dict[str, Callable[[str, list[str]], bool]] = {
        "In": lambda key, values: labels.get(key) in values,
        "NotIn": lambda key, values: labels.get(key) not in values,
        "Exists": lambda key, _: key in labels,
        "DoesNotExist": lambda key, _: key not in labels,
    }
    return all(tests[each["operator"]](each["key"], each.get("values") or [])
               for each in selector.get("matchExpressions") or [])


def _peer_pods(peers: list[Json], namespace: str, world: _World) -> list[Pod]:
    return [pod for pod in world.pods if any(_is_peer(pod, peer, namespace, world) for peer in peers)]


def _is_peer(pod: Pod, peer: Json, namespace: str, world: _World) -> bool:
    if peer.get("ipBlock") is not None:
        return False
    spaces = peer.get("namespaceSelector")
    there = pod.namespace == namespace if spaces is None else _matches(spaces, world.namespaces.get(pod.namespace, {}))
    return there and _matches(peer.get("podSelector") or {}, pod.labels)


def _block_networks(block: Json) -> list[ipaddress.IPv4Network]:
    network = ipaddress.ip_network(block["cidr"], strict=False)
    exceptions = [ipaddress.ip_network(each, strict=False) for each in block.get("except") or []]
    if isinstance(network, ipaddress.IPv6Network):
        return []
    left = [network]
    for hole in exceptions:
        if not isinstance(hole, ipaddress.IPv4Network) or not hole.subnet_of(network):
            raise ValueError(f"{hole} is not in {network}")
        left = [piece for each in left for piece in _without(each, hole)]
    return left


def _without(network: ipaddress.IPv4Network, hole: ipaddress.IPv4Network) -> list[ipaddress.IPv4Network]:
    if network.subnet_of(hole):
        return []
    return list(network.address_exclude(hole)) if hole.subnet_of(network) else [network]


def _peer_networks(peers: list[Json], namespace: str, world: _World) -> list[str]:
    networks = [ipaddress.IPv4Network(pod.address) for pod in _peer_pods(peers, namespace, world)]
    networks += [piece for peer in peers if peer.get("ipBlock") for piece in _block_networks(peer["ipBlock"])]
    merged = list(ipaddress.collapse_addresses(networks))
    # ipset does not know a prefix of length 0
    halves = [half for each in merged for half in (each.subnets(1) if each.prefixlen == 0 else [each])]
    return [str(each) for each in halves]


# --- what is allowed

@dataclass
class _Isolation:
    """The rules for one pod. None: not isolated in this direction; otherwise pairs of a policy and its rules."""
    ingress: list[tuple[Json, list[Json]]] | None = None
    egress: list[tuple[Json, list[Json]]] | None = None
    refused: bool = False


def _isolation(policies: Iterable[Json], world: _World, plan: Plan) -> dict[str, _Isolation]:
    isolated = {address: _Isolation() for address in world.by_address}
    for policy in sorted(policies, key=lambda each: (each["metadata"]["namespace"], each["metadata"]["name"])):
        meta, spec = policy["metadata"], policy.get("spec") or {}
        selected = [pod for pod in world.pods if pod.namespace == meta["namespace"]]
        try:
            _check_selector(spec.get("podSelector") or {}, "spec.podSelector")
            selected = [pod for pod in selected if _matches(spec.get("podSelector") or {}, pod.labels)]
            directions = _directions(spec)
        except Refused as refusal:
            names = tuple(pod.name for pod in selected)
            plan.refused.append(Refusal(meta["namespace"], meta["name"], meta.get("uid", ""), str(refusal), names))
            for pod in selected:
                isolated[pod.address].refused = True
            continue
        for pod in selected:
            state = isolated[pod.address]
            if "Ingress" in directions:
                state.ingress = [*(state.ingress or []), (policy, spec.get("ingress") or [])]
            if "Egress" in directions:
                state.egress = [*(state.egress or []), (policy, spec.get("egress") or [])]
    return isolated


def _add_pod(plan: Plan, world: _World, pod: Pod, state: _Isolation) -> None:
    for granted, dispatcher, own, other in ((state.egress, EGRESS, "-s", "-d"), (state.ingress, INGRESS, "-d", "-s")):
        if granted is None and not state.refused:
            continue
        chain = f"{dispatcher}-{_digest(pod.namespace, pod.name, pod.address)}"
        rules = [f"{other} {pod.address}/32 -j RETURN"]  # a pod always reaches itself, through a Service as well
        for policy, allowances in [] if state.refused else granted or []:
            note = _comment(f"{policy['metadata']['namespace']}/{policy['metadata']['name']}")
            for rule in allowances:
                namespace = policy["metadata"]["namespace"]
                into = _ingress_matches if dispatcher == INGRESS else _egress_matches
                rules += [f"{match}{note} -j RETURN" for match in into(plan, world, pod, namespace, rule)]
        rules.append(f"{_comment(f'{pod.namespace}/{pod.name}').strip()} -j DROP")
        plan.chains[chain] = rules
        plan.chains[dispatcher].append(f"{own} {pod.address}/32 -j {chain}")


def _ingress_matches(plan: Plan, world: _World, pod: Pod, namespace: str, rule: Json) -> list[str]:
    who = _who(plan, world, namespace, rule.get("from"), "src")
    if who is None:
        return []
    ports: list[str] = []
    for port in rule.get("ports") or []:
        if isinstance(port.get("port"), str):
            ports += [_port_match(port, number) for number in _named(pod, port)]
        else:
            ports.append(_port_match(port, port.get("port")))
    return [f"{who}{port}".strip() for port in ports] if rule.get("ports") else [who.strip()]


def _egress_matches(plan: Plan, world: _World, _: Pod, namespace: str, rule: Json) -> list[str]:
    who = _who(plan, world, namespace, rule.get("to"), "dst")
    if who is None:
        return []
    matches = [f"{who}{_port_match(port, port.get('port'))}".strip() for port in rule.get("ports") or []
               if not isinstance(port.get("port"), str)]
    peers = _peer_pods(rule["to"], namespace, world) if rule.get("to") else world.pods
    ends = [f"{pod.address},{_protocol(port)}:{number}" for port in rule.get("ports") or []
            if isinstance(port.get("port"), str) for pod in peers for number in _named(pod, port)]
    if ends:
        matches.append(f"-m set --match-set {plan.add_set('hash:ip,port', ends)} dst,dst")
    return matches if rule.get("ports") else [who.strip()]


def _who(plan: Plan, world: _World, namespace: str, peers: list[Json] | None, side: str) -> str | None:
    """The match for the other end: empty for anyone, None for nobody."""
    if not peers:
        return ""
    networks = _peer_networks(peers, namespace, world)
    return f"-m set --match-set {plan.add_set('hash:net', networks)} {side}" if networks else None


def _named(pod: Pod, port: Json) -> list[int]:
    wanted = (port["port"], port.get("protocol") or "TCP")
    return sorted({number for name, protocol, number in pod.ports if (name, protocol) == wanted})


def _protocol(port: Json) -> str:
    return PROTOCOLS[port.get("protocol") or "TCP"]


def _port_match(port: Json, number: int | None) -> str:
    protocol = _protocol(port)
    if number is None:
        return f" -p {protocol}"
    end = f":{port['endPort']}" if port.get("endPort") else ""
    return f" -p {protocol} -m {protocol} --dport {number}{end}"


def _comment(text: str) -> str:
    return f' -m comment --comment "{text[:200]}"'


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
