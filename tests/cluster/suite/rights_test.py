"""The rules in deploy/kubernetes are the calls of the code: none is missing, and none is idle. Needs no cluster."""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy/kubernetes"
ACTIONS = ROOT / "agent/kubernetes/velero/actions"
MOVERS = ROOT / "agent/kubernetes/movers/actions"
KINDS = [ROOT / "agent/kubernetes/velero/resources.h", ROOT / "agent/kubernetes/movers/mover_job.h"]

# (where, resource with its group, verb)
Right = tuple[str, str, str]

# Roles by where they hold: in Velero's namespace, in that of an application, in that of a drill, in the executor's own,
# in the cluster as a whole.
ROLES = {("Role", "salvor-executor"): "velero", ("ClusterRole", "salvor-executor"): "cluster",
         ("ClusterRole", "salvor-application"): "application", ("ClusterRole", "salvor-scratch"): "scratch",
         ("Role", "salvor-executor-pod"): "own", ("ClusterRole", "salvor-quiesce"): "application",
         ("Role", "salvor-movers"): "salvor"}
# What the client asks for each of its calls; the others are helpers over it. Every server lets everybody discover.
VERBS = {"Get": ["get"], "List": ["list"], "Watch": ["watch"], "Create": ["create"], "Apply": ["patch"],
         "Patch": ["patch"], "Delete": ["delete"], "ListAll": ["list"], "WaitUntil": ["list", "watch"],
         "WaitUntilGone": ["list", "watch"], "wait_.Until": ["list", "watch"], "Version": [], "Discover": [],
         "Logs": ["get"]}
CALL = re.compile(r"\b(?:cluster_?(?:\.|->)(?P<method>[A-Z]\w*)|"
                  r"(?P<helper>ListAll|WaitUntil|WaitUntilGone|wait_\.Until))\(")
# The namespace that a call names, as the code writes it.
PLACES = {"velero_": "velero", "velero_namespace": "velero", '""': "cluster", "name": "application",
          "name_space": "application", "scratch_": "scratch", "scratch": "scratch", "own_namespace": "own",
          "salvor_": "salvor", "name_space_": "salvor"}
# The executor asks these of a drill's namespace before it has a right inside: they are of the cluster.
BEFORE_BOUND = {("namespaces", "get"), ("namespaces", "create"), ("rolebindings.rbac.authorization.k8s.io", "create")}
# Calls of this file are made of applications' namespaces and of drills'.
SHARED = {"cluster.cc"}


def kinds() -> dict[str, str]:
    """The functions of resources.h: Backups is backups.velero.io."""
    text = "".join(path.read_text() for path in KINDS)
    found = {name: f"{plural}.velero.io" for name, plural in
             re.findall(r'(\w+)\(\) \{ return OfVelero\("(\w+)"\)', text)}
    for name, group, plural in re.findall(r'(\w+)\(\) \{\s*return \{"([^"]*)", "\w+", "(\w+)"', text):
        found[name] = f"{plural}.{group}".rstrip(".")
    for name, plural in re.findall(r'(\w+)\(\) \{\s*return \{"velero.io", "\w+", "(\w+)"', text):
        found[name] = f"{plural}.velero.io"
    return found


def arguments(text: str, start: int) -> list[str]:
    """Of a call whose parenthesis was opened just before `start`; split at commas that are not nested."""
    depth, found, last = 1, [], start
    for at in range(start, len(text)):
        if text[at] in "([{":
            depth += 1
        elif text[at] in ")]}":
            depth -= 1
        if depth == 0 or (depth == 1 and text[at] == ","):
            found.append(" ".join(text[last:at].split()))
            last = at + 1
        if depth == 0:
            return found
    raise AssertionError(f"a call without an end: {text[start:start + 80]}")


def target(words: list[str], text: str, at: int) -> tuple[str, str, str]:
    """Resource, namespace and name or object of a call, as the code writes them: a type and a namespace, or a key."""
    words = words[1:] if words[0] in ("cluster", "cluster_") else words
    key = words[0]
    if key.startswith("KeyOf("):
        key = re.search(r"KeyOf\([^)]*\) const \{ return (\{.*?\}); \}", text)[1]
    elif re.fullmatch(r"\w+", key):  # a variable: the last one of that name before, else the one that a helper is given
        named = list(re.finditer(r"ObjectKey %s(\{.*?\});" % key, text, re.DOTALL))
        before = [each for each in named if each.start() < at]
        if not named:
            raise AssertionError(f"whose key is {key}?")
        key = (before or named)[-1][1]
    if key.startswith("{"):
        words = arguments(key, 1)
    return words[0], words[1], words[2] if len(words) > 2 else ""


def calls_of(path: Path) -> dict[Right, str]:
    """Each right that the file needs, with the first call that needs it."""
    text = re.sub(r"//[^\n]*", "", path.read_text())
    found: dict[Right, str] = {}
    for call in CALL.finditer(text):
        name = call["method"] or call["helper"]
        words = arguments(text, call.end())
        shown = f"{path.name}: {name}({', '.join(words)[:80]}"
        if name == "Exec":  # its namespace is in the command; they are pods of applications, and of no others
            found.update({("application", "pods/exec", verb): shown for verb in ("get", "create")})
            continue
        if name not in VERBS:
            raise AssertionError(f"{shown}: which rights does it need?")
        if not VERBS[name]:
            continue
        if name == "Logs":  # of pods, and there is no type to say so
            found.setdefault((PLACES[words[0]], "pods/log", "get"), shown)
            continue
        resource, space, named = target(words, text, call.start())
        literal = re.match(r'\{"([^"]*)", "\w+", "(\w+)"', resource)
        known = f"{literal[2]}.{literal[1]}".rstrip(".") if literal else kinds().get(resource.removesuffix("()"))
        if known is None or space not in PLACES:
            raise AssertionError(f"{shown}: of what, and where? {resource}, {space}")
        where = PLACES[space]
        if known == "namespaces":  # a namespace is itself what a right in it is about
            where = "scratch" if named in PLACES or named.startswith("MakeScratch") else "application"
            where = "application" if named in ("name", "name_space") else where
        for verb in VERBS[name]:
            of = "cluster" if where == "scratch" and (known, verb) in BEFORE_BOUND else where
            found.setdefault((of, known, verb), shown)
            if known.startswith("rolebindings."):
                found.setdefault(("cluster", "clusterroles.rbac.authorization.k8s.io", "bind"), shown)
            if path.name in SHARED and where == "application":
                found.setdefault(("scratch", known, verb), shown)
    return found


# A helper over the client: its calls stand where it is used.
HELPERS = {"object_wait.cc"}
# A mover's own call, by its own service account: its right is given in each application's namespace, for one Secret.
OF_MOVERS = {"secret.cc"}
# Of every account that the cluster knows, by system:basic-user.
EVERYBODYS = {("cluster", "selfsubjectaccessreviews.authorization.k8s.io", "create")}


def calls() -> dict[Right, str]:
    found: dict[Right, str] = {}
    for path in [*sorted(ACTIONS.glob("*.cc")), *sorted(MOVERS.glob("*.cc"))]:
        if "_test" not in path.name and path.name not in HELPERS | OF_MOVERS:
            found = {**calls_of(path), **found}
    return {right: call for right, call in found.items() if right not in EVERYBODYS}


def words_of(rule: str, key: str) -> list[str]:
    found = re.search(r"\b%s: \[(.*?)\]" % key, rule)
    return [word.strip().strip('"') for word in found[1].split(",")] if found else []


def rules() -> set[Right]:
    found: set[Right] = set()
    seen = set()
    for document in (DEPLOY / "rights.yaml").read_text().split("\n---\n"):
        document = re.sub(r"(?m)^\s*#.*$", "", document)
        kind, name = re.search(r"(?m)^kind: (\w+)", document)[1], re.search(r"(?m)^  name: (\S+)", document)[1]
        if not kind.endswith("Role"):
            continue
        seen.add((kind, name))
        for rule in document.split("\n- ")[1:]:
            resources, verbs = words_of(rule, "resources"), words_of(rule, "verbs")
            assert resources and verbs and "*" not in rule, rule
            [group] = words_of(rule, "apiGroups")
            names = [f"{each}.{group}".rstrip(".") for each in resources]
            found |= {(ROLES[(kind, name)], each, verb) for each in names for verb in verbs}
    assert seen == set(ROLES), seen
    return found


class Rights(unittest.TestCase):
    def test_each_call_of_the_code_is_allowed(self):
        missing = [f"{' '.join(right)}, for {call}" for right, call in sorted(calls().items()) if right not in rules()]
        self.assertEqual(missing, [], "rules are missing in deploy/kubernetes/rights.yaml")

    def test_each_rule_is_used(self):
        self.assertEqual(sorted(rules() - set(calls())), [], "nothing in the code needs these of rights.yaml")

    def test_the_calls_are_found_at_all(self):
        found = set(calls())
        self.assertIn(("velero", "backups.velero.io", "create"), found)
        self.assertIn(("application", "persistentvolumeclaims", "list"), found)
        self.assertIn(("cluster", "customresourcedefinitions.apiextensions.k8s.io", "get"), found)
        self.assertGreater(len(found), 20)

    def test_nobody_else_speaks_to_a_cluster(self):
        """Else those calls would be missing above."""
        others = []
        for path in sorted((ROOT / "agent").rglob("*.cc")):
            inside = path.relative_to(ROOT).as_posix()
            if "_test" in path.name or inside.startswith(("agent/kubernetes/client/", "agent/kubernetes/fake/",
                                                          "agent/kubernetes/velero/actions/",
                                                          "agent/kubernetes/movers/actions/")):
                continue
            if re.search(r"\bcluster_?(\.|->)(Get|List|Watch|Create|Apply|Patch|Delete|Logs|Exec)\(", path.read_text()):
                others.append(inside)
        self.assertEqual(others, [])

    def test_a_mover_reads_secrets_and_nothing_else(self):
        found = {(resource, verb) for name in OF_MOVERS for _, resource, verb in calls_of(MOVERS / name)}
        self.assertEqual(found, {("secrets", "get")})
        account = re.findall(r"name: salvor-mover, namespace: salvor", (DEPLOY / "rights.yaml").read_text())
        self.assertEqual(account, [], "what a mover may is each namespace's own word")

    def test_secrets_are_named_one_by_one_and_never_written(self):
        for document in (DEPLOY / "rights.yaml").read_text().split("\n- ")[1:]:
            if "secrets" in words_of(document, "resources"):
                self.assertEqual(words_of(document, "verbs"), ["get"])
                self.assertEqual(len(words_of(document, "resourceNames")), 1)


class Commands(unittest.TestCase):
    def test_a_namespace_lets_them_run_by_a_role_of_its_own(self):
        for document in (DEPLOY / "rights.yaml").read_text().split("\n---\n"):
            if "pods/exec" in document:
                self.assertIn("kind: ClusterRole\n", document)
                self.assertIn("name: salvor-quiesce\n", document)
                self.assertEqual(document.count("resources:"), 1)


class Names(unittest.TestCase):
    def test_the_image_is_of_this_version(self):
        version = re.search(r"project\(salvor VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
        for kustomization in ("kustomization.yaml", "node/kustomization.yaml"):
            image = (DEPLOY / kustomization).read_text()
            self.assertIn(f"newName: salvor.test/salvor, newTag: {version}}}", image, kustomization)

    def test_options_of_the_programs_are_theirs(self):
        for manifest, source in (("control-plane.yaml", "controlplane/main.cc"), ("executor.yaml", "agent/main.cc"),
                                 ("node/node.yaml", "agent/main.cc")):
            known = re.findall(r'"(--[a-z-]+)"', (ROOT / source).read_text())
            used = re.findall(r"(?m)^        - (--[a-z-]+)(?:=|$)", (DEPLOY / manifest).read_text())
            self.assertGreater(len(used), 4, manifest)
            self.assertEqual([each for each in used if each not in known], [], manifest)


if __name__ == "__main__":
    unittest.main()
