"""policy_rules turns policies into rules, without a kernel. policy_kernel_test.py tells whether the kernel agrees."""

import unittest

from policy_objects import labelled, namespace, pod, policy, tcp

from bed import policy_rules
from bed.policy_rules import Plan, compute

WEB, DB, JOB, OTHER = "198.18.240.11", "198.18.240.12", "198.18.240.13", "198.18.240.14"
SPACES = [namespace("shop", team="sales"), namespace("drill", team="salvor")]
PODS = [pod("web", WEB, app="web"),
        pod("db", DB, app="db", ports={"postgres": 5432}),
        pod("job", JOB, app="job", tier="batch"),
        pod("other", OTHER, space="drill", app="web", ports={"postgres": 6432})]


def plan_of(*policies, pods=PODS, bridge=""):
    return compute(policies, pods, SPACES, bridge)


def rules_of(plan: Plan, dispatcher: str, address: str) -> list[str] | None:
    """The rules for one pod in one direction; None if it is not isolated there."""
    for rule in plan.chains[dispatcher]:
        if f" {address}/32 " in rule:
            return plan.chains[rule.split()[-1]]
    return None


def granted(plan: Plan, dispatcher: str, address: str) -> list[str]:
    """The allowed: the rules between the one for the pod itself and the final DROP, sets replaced by members."""
    rules = rules_of(plan, dispatcher, address)
    assert rules is not None, f"{address} is not isolated"
    assert rules[-1].endswith("-j DROP") and f"{address}/32 -j RETURN" in rules[0], rules
    readable = []
    for rule in rules[1:-1]:
        text = rule.partition("-m comment")[0].strip()
        for name, (_, members) in plan.sets.items():
            text = text.replace(f"-m set --match-set {name}", "{" + " ".join(members) + "}")
        readable.append(text)
    return readable


def ingress(plan, address):
    return granted(plan, policy_rules.INGRESS, address)


def egress(plan, address):
    return granted(plan, policy_rules.EGRESS, address)


class WhoIsIsolated(unittest.TestCase):
    def test_nobody_without_policies(self):
        plan = plan_of()
        self.assertEqual(plan.chains[policy_rules.INGRESS] + plan.chains[policy_rules.EGRESS], [])

    def test_only_selected_pods_of_the_policys_namespace_in_its_directions(self):
        plan = plan_of(policy(select=labelled(app="web"), ingress=[]))
        self.assertEqual(ingress(plan, WEB), [])
        self.assertIsNone(rules_of(plan, policy_rules.EGRESS, WEB))
        for address in (DB, JOB, OTHER):
            self.assertIsNone(rules_of(plan, policy_rules.INGRESS, address))

    def test_types_that_are_not_given_follow_from_the_rules(self):
        spec = {"podSelector": {}, "egress": [{"ports": [tcp(53)]}]}
        plan = plan_of({"metadata": {"name": "p", "namespace": "drill"}, "spec": spec})
        self.assertEqual((ingress(plan, OTHER), egress(plan, OTHER)), ([], ["-p tcp -m tcp --dport 53"]))

    def test_host_network_ended_and_unaddressed_pods_are_left_alone(self):
        host, ended, fresh = pod("host", "198.18.0.1"), pod("ended", "198.18.240.21"), pod("fresh", "")
        host["spec"]["hostNetwork"], ended["status"]["phase"] = True, "Succeeded"
        plan = plan_of(policy(ingress=[{"from": [{"podSelector": {}}]}]), pods=[*PODS, host, ended, fresh])
        self.assertEqual(len(plan.chains[policy_rules.INGRESS]), 3)
        self.assertEqual(ingress(plan, WEB), ["{198.18.240.11/32 198.18.240.12/31} src"])

    def test_an_address_belongs_to_the_pod_that_is_not_being_deleted(self):
        leaving = pod("leaving", WEB, app="leaving")
        leaving["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
        plan = plan_of(policy(select=labelled(app="leaving"), ingress=[]), pods=[*PODS, leaving])
        self.assertIsNone(rules_of(plan, policy_rules.INGRESS, WEB))


class Selectors(unittest.TestCase):
    def peers(self, *expressions, **labels):
        selector = {"matchLabels": labels, "matchExpressions": list(expressions)}
        return ingress(plan_of(policy(select=labelled(app="db"), ingress=[{"from": [{"podSelector": selector}]}])), DB)

    def test_each_operator(self):
        web, job = [f"{{{WEB}/32}} src"], [f"{{{JOB}/32}} src"]
        self.assertEqual(self.peers({"key": "app", "operator": "In", "values": ["web", "x"]}), web)
        self.assertEqual(self.peers({"key": "tier", "operator": "Exists"}), job)
        self.assertEqual(self.peers({"key": "tier", "operator": "DoesNotExist"}, app="web"), web)
        # a pod without the label is "not in" as well
        self.assertEqual(self.peers({"key": "tier", "operator": "NotIn", "values": ["batch"]}, app="web"), web)
        self.assertEqual(self.peers({"key": "tier", "operator": "NotIn", "values": ["batch"]}, app="job"), [])

    def test_namespaces(self):
        def from_peer(peer):
            return ingress(plan_of(policy(select=labelled(app="db"), ingress=[{"from": [peer]}])), DB)
        self.assertEqual(from_peer({"namespaceSelector": labelled(team="salvor")}), [f"{{{OTHER}/32}} src"])
        both = {"namespaceSelector": {}, "podSelector": labelled(app="web")}
        self.assertEqual(from_peer(both), [f"{{{WEB}/32 {OTHER}/32}} src"])
        self.assertEqual(from_peer({"podSelector": labelled(app="web")}), [f"{{{WEB}/32}} src"])


class Blocks(unittest.TestCase):
    def to(self, *peers):
        return egress(plan_of(policy(select=labelled(app="db"), egress=[{"to": list(peers)}])), DB)

    def test_exceptions_are_cut_out(self):
        block = {"ipBlock": {"cidr": "10.0.0.0/30", "except": ["10.0.0.1/32"]}}
        self.assertEqual(self.to(block), ["{10.0.0.0/32 10.0.0.2/31} dst"])

    def test_an_exception_of_one_block_does_not_take_from_another(self):
        holed = {"ipBlock": {"cidr": "10.0.0.0/30", "except": ["10.0.0.0/31"]}}
        self.assertEqual(self.to(holed, {"ipBlock": {"cidr": "10.0.0.0/32"}}), ["{10.0.0.0/32 10.0.0.2/31} dst"])

    def test_everything_is_two_halves_for_ipset(self):
        self.assertEqual(self.to({"ipBlock": {"cidr": "0.0.0.0/0"}}), ["{0.0.0.0/1 128.0.0.0/1} dst"])

    def test_ipv6_matches_nothing(self):
        self.assertEqual(self.to({"ipBlock": {"cidr": "::/0", "except": ["fd00::/8"]}}), [])


class Ports(unittest.TestCase):
    def test_numbers_ranges_protocols(self):
        rule = {"ports": [tcp(80), tcp(8000, 8010), tcp(53, protocol="UDP"), tcp(9, protocol="SCTP"),
                          tcp(protocol="UDP")]}
        self.assertEqual(ingress(plan_of(policy(select=labelled(app="db"), ingress=[rule])), DB), [
            "-p tcp -m tcp --dport 80", "-p tcp -m tcp --dport 8000:8010", "-p udp -m udp --dport 53",
            "-p sctp -m sctp --dport 9", "-p udp"])

    def test_an_empty_rule_allows_all(self):
        self.assertEqual(ingress(plan_of(policy(ingress=[{}])), DB), [""])

    def test_names_into_a_pod_are_those_of_its_own_containers(self):
        plan = plan_of(policy(ingress=[{"ports": [tcp("postgres")]}]))
        self.assertEqual(ingress(plan, DB), ["-p tcp -m tcp --dport 5432"])
        self.assertEqual(ingress(plan, WEB), [])
        self.assertEqual(ingress(plan_of(policy(ingress=[{"ports": [tcp("postgres", protocol="UDP")]}])), DB), [])

    def test_names_out_of_a_pod_are_those_of_the_other_ends(self):
        everywhere = plan_of(policy(select=labelled(app="web"), egress=[{"ports": [tcp("postgres")]}]))
        self.assertEqual(egress(everywhere, WEB), [f"{{{DB},tcp:5432 {OTHER},tcp:6432}} dst,dst"])
        drill = {"to": [{"namespaceSelector": labelled(team="salvor")}], "ports": [tcp("postgres"), tcp(80)]}
        self.assertEqual(egress(plan_of(policy(select=labelled(app="web"), egress=[drill])), WEB),
                         [f"{{{OTHER}/32}} dst -p tcp -m tcp --dport 80", f"{{{OTHER},tcp:6432}} dst,dst"])

    def test_policies_add_up(self):
        plan = plan_of(policy("deny", ingress=[]), policy("one", ingress=[{"ports": [tcp(1)]}]),
                       policy("two", select=labelled(app="db"), ingress=[{"ports": [tcp(2)]}]))
        self.assertEqual(ingress(plan, DB), ["-p tcp -m tcp --dport 1", "-p tcp -m tcp --dport 2"])
        self.assertEqual(ingress(plan, WEB), ["-p tcp -m tcp --dport 1"])


class Refusals(unittest.TestCase):
    UNKNOWN = {
        "a new field": policy(select=labelled(app="db"), ingress=[{"from": [], "when": "always"}]),
        "a new field of the spec": policy(select=labelled(app="db"), ingress=[], order=5),
        "a new peer": policy(select=labelled(app="db"), ingress=[{"from": [{"serviceSelector": {}}]}]),
        "an empty peer": policy(select=labelled(app="db"), ingress=[{"from": [{}]}]),
        "a new operator": policy(select=labelled(app="db"), ingress=[
            {"from": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}}]}]),
        "a new protocol": policy(select=labelled(app="db"), egress=[{"ports": [tcp(protocol="ICMP")]}]),
        "a named range": policy(select=labelled(app="db"), egress=[{"ports": [tcp("postgres", 9)]}]),
        "a block that is none": policy(select=labelled(app="db"), egress=[{"to": [{"ipBlock": {"cidr": "ten"}}]}]),
        "a hole outside": policy(select=labelled(app="db"), egress=[
            {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}}]}]),
        "a name towards a block": policy(select=labelled(app="db"), egress=[
            {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [tcp("postgres")]}]),
        "a new type": policy(select=labelled(app="db"), policyTypes=["Forward"]),
    }

    def test_what_is_not_understood_cuts_off_the_selected_pods_whatever_others_allow(self):
        for name, strange in self.UNKNOWN.items():
            with self.subTest(name):
                plan = plan_of(policy("allow", ingress=[{}], egress=[{}]), strange)
                self.assertEqual((ingress(plan, DB), egress(plan, DB)), ([], []))
                self.assertEqual((ingress(plan, WEB), egress(plan, WEB)), ([""], [""]))
                self.assertEqual([(each.name, each.pods) for each in plan.refused], [("policy", ("db",))])
                self.assertTrue(plan.refused[0].reason.startswith("spec"), plan.refused[0].reason)

    def test_a_selector_that_is_not_understood_means_the_whole_namespace(self):
        plan = plan_of(policy(select={"matchFields": {}}, ingress=[{}]))
        self.assertEqual([ingress(plan, each) for each in (WEB, DB, JOB)], [[], [], []])
        self.assertIsNone(rules_of(plan, policy_rules.INGRESS, OTHER))
        self.assertEqual(plan.refused[0].reason, "spec.podSelector has matchFields")


class Texts(unittest.TestCase):
    def test_first_application_hooks_in_once(self):
        text = plan_of(policy(ingress=[])).iptables_text()
        self.assertEqual(text.splitlines()[0], "*mangle")
        self.assertTrue(text.endswith("COMMIT\n"))
        self.assertIn("-I FORWARD 1 -j SALVOR-NP\n-I INPUT 1 -j SALVOR-NP-NODE\n", text)
        saved = "*mangle\n:SALVOR-NP - [0:0]\n-A FORWARD -j SALVOR-NP\n-A INPUT -j SALVOR-NP-NODE\n"
        self.assertNotIn("\n-I ", plan_of().iptables_text(saved))

    def test_chains_of_yesterday_go_and_those_of_others_stay(self):
        saved = "*mangle\n:SALVOR-NP - [0:0]\n:SALVOR-NP-I-0123 - [0:0]\n:SALVOR-NPX - [0:0]\n:KUBE-X - [0:0]\n"
        text = plan_of().iptables_text(saved)
        self.assertIn(":SALVOR-NP-I-0123 - [0:0]\n", text)
        self.assertIn("-X SALVOR-NP-I-0123\n", text)
        self.assertNotIn("KUBE", text)
        self.assertNotIn("NPX", text)

    def test_removal_takes_each_jump_and_chain(self):
        saved = "*mangle\n:SALVOR-NP - [0:0]\n-A FORWARD -j SALVOR-NP\n-A FORWARD -j SALVOR-NP\n-A FORWARD -j KUBE\n"
        self.assertEqual(policy_rules.removal_text(saved), "*mangle\n:SALVOR-NP - [0:0]\n-D FORWARD -j SALVOR-NP\n"
                         "-D FORWARD -j SALVOR-NP\n-X SALVOR-NP\nCOMMIT\n")
        self.assertEqual(policy_rules.removal_text("*mangle\n:KUBE - [0:0]\n"), "")

    def test_the_same_input_gives_the_same_text_in_any_order(self):
        policies = [policy("a", ingress=[{"from": [{"podSelector": {}}]}]), policy("b", egress=[])]
        one, two = plan_of(*policies), plan_of(*reversed(policies), pods=PODS[::-1])
        self.assertEqual((one.iptables_text(), one.ipset_text()), (two.iptables_text(), two.ipset_text()))

    def test_names_fit_the_kernel(self):
        plan = plan_of(policy("x" * 253, ingress=[{"from": [{"podSelector": {}}]}], egress=[{}]), bridge="cni-salvor")
        self.assertLessEqual(max(map(len, plan.chains)), 28)
        self.assertLessEqual(max(map(len, plan.sets)), 31)

    def test_known_addresses_alone_may_use_the_bridge(self):
        plan = plan_of(bridge="cni-salvor")
        (name, (kind, members)), = plan.sets.items()
        self.assertEqual((kind, members), ("hash:ip", [WEB, DB, JOB, OTHER]))
        self.assertEqual(sum(f"! --match-set {name}" in rule for rule in plan.chains[policy_rules.FORWARD]), 2)
        self.assertEqual(sum(f"! --match-set {name}" in rule for rule in plan.chains[policy_rules.NODE]), 1)


if __name__ == "__main__":
    unittest.main()
