"""Salvor inside of the cluster: put beside Velero as docs/kubernetes.md says, for the tests that want it there."""

import base64
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import volumes
from buckets import credentials, make_bucket, remove_bucket, repository_in
from salvor import MADE_BY_SALVOR, ROOT
from support import (BACKUP_SECONDS, GONE_SECONDS, LABEL, READY_SECONDS, RUN, VELERO, ClusterTest, apply, delete_backup,
                     find, get, kubectl, pods_of, wait_for, wait_until_ready)
from volumes import claim, pod, start

from bed import binaries, image_command, settings

sys.path.insert(0, str(ROOT / "tools/image"))
import make_image  # noqa: E402
from stack import BIN  # noqa: E402  # salvor made it known

DEPLOY = ROOT / "deploy/kubernetes"
EXAMPLE = ROOT / "deploy/examples/kubernetes-shop.yaml"
SALVOR = "salvor"  # the namespace that deploy/kubernetes has
# The suite's label on all of it, by which the next run finds what an interrupted one left.
OVERLAY = """apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [{deploy}]
components: [{components}]
labels:
- pairs: {{{label}: "{run}"}}
"""


def in_salvord(*words: str, seconds: float = 60) -> str:
    """The command line in salvord's own pod, as its operator has it at hand."""
    return kubectl("-n", SALVOR, "exec", "salvord-0", "--", *words, seconds=seconds)


class DeployedSalvor(ClusterTest):
    with_nodes = False  # an agent on each node

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="salvor-deploy-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.assertIsNone(get("default", "namespace", SALVOR), f"somebody's own Salvor is in namespace {SALVOR}")
        self.bucket = make_bucket("salvor-deploy")
        self.addCleanup(remove_bucket, self.bucket)
        self.space = self.namespace("salvor-inside")
        self.addCleanup(self.delete_backups)
        self.spaces.append(SALVOR)  # shown when it fails

    def delete_backups(self) -> None:
        for each in find(VELERO, "backups.velero.io", MADE_BY_SALVOR):
            if each["spec"].get("includedNamespaces") == [self.space]:
                delete_backup(each["metadata"]["name"])
                kubectl("-n", VELERO, "delete", "configmap", each["metadata"]["name"], "--ignore-not-found")

    def load_image(self) -> None:
        archive = self.folder / "salvor.tar"
        make_image.build(BIN, archive)
        image_command.import_archive(archive, settings.CONTAINERD_SOCKET)

    def apply_all(self) -> None:
        overlay = self.folder / "overlay"
        overlay.mkdir()
        deploy = os.path.relpath(DEPLOY, overlay.resolve())
        (overlay / "kustomization.yaml").write_text(OVERLAY.format(
            deploy=deploy, components=f"{deploy}/node" if self.with_nodes else "", label=LABEL, run=RUN))
        self.addCleanup(self.delete_all, overlay)
        kubectl("apply", "-k", str(overlay))

    def delete_all(self, overlay: Path) -> None:
        kubectl("delete", "-k", str(overlay), "--ignore-not-found", f"--timeout={GONE_SECONDS}s",
                seconds=GONE_SECONDS + 10)

    def make_certificate(self) -> None:
        """By the operator's own script, with the cluster's kubectl."""
        folder = binaries.program("kubectl").parent
        environment = {**os.environ, "KUBECONFIG": str(settings.KUBECONFIG), "PATH": f"{folder}:{os.environ['PATH']}"}
        for _ in range(2):  # the second time finds it and leaves it
            done = subprocess.run([str(DEPLOY / "make-certificate")], env=environment, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("there already", done.stdout)

    def make_token(self, name: str) -> None:
        """Of the agents salvor-NAME-…, in the Secret that they wait for."""
        token = in_salvord("salvor", "agent-token", "create", name, "--environment", "production", "--agent",
                           f"salvor-{name}-*")
        self.assertTrue(token.startswith("salvor_agent_"), "it says something else than the token")
        kubectl("-n", SALVOR, "create", "secret", "generic", f"salvor-{name}-token", "--from-file=token=/dev/stdin",
                text=token)
        # The kubelet, which waited for the Secret, would look again in a minute or two.
        kubectl("-n", SALVOR, "delete", "pod", "-l", f"app.kubernetes.io/name=salvor-{name}",
                f"--timeout={GONE_SECONDS}s", seconds=GONE_SECONDS + 10)

    def make_secrets(self) -> None:
        (self.folder / "environment").write_text(credentials())
        kubectl("-n", SALVOR, "create", "secret", "generic", "salvor-vault", "--from-literal=password=of-a-test",
                f"--from-file=environment={self.folder / 'environment'}")
        wait_until_ready(SALVOR, "statefulset/salvord")
        self.make_token("executor")
        if self.with_nodes:
            self.make_token("node")
            wait_until_ready(SALVOR, "daemonset/salvor-node")

    def wait_for_executor(self) -> None:
        def agents() -> str:
            try:
                return in_salvord("salvor", "agent", "list")
            except AssertionError as failed:  # its pod is being made anew
                return str(failed)
        wait_for("the executor to connect", lambda: re.search(r"salvor-executor-0 .* connected ", agents()),
                 READY_SECONDS, lambda: (agents(), pods_of(SALVOR), self.log_of("salvor-executor-0")))

    def log_of(self, name: str) -> str:
        return kubectl("-n", SALVOR, "logs", name, "--all-containers", "--tail=20")

    def forwarded(self) -> tuple[str, list[str]]:
        """The near end of a port-forward, and how the command line on this machine comes through it."""
        errors = self.folder / "port-forward.log"
        with errors.open("w") as to:
            forward = subprocess.Popen([str(binaries.program("kubectl")), "-n", SALVOR, "port-forward", "--address=127.0.0.1",
                                        "service/salvord", ":8443"],
                                       env={**os.environ, "KUBECONFIG": str(settings.KUBECONFIG)},
                                       stdout=subprocess.PIPE, stderr=to, text=True)
        self.addCleanup(forward.stdout.close)
        self.addCleanup(forward.wait)
        self.addCleanup(forward.kill)
        says = forward.stdout.readline()  # "Forwarding from 127.0.0.1:40123 -> 8443"
        self.assertRegex(says, r"127\.0\.0\.1:\d+ ->", errors.read_text())
        port = re.search(r"127\.0\.0\.1:(\d+) ->", says)[1]
        authority, token = self.folder / "ca.crt", self.folder / "api.token"
        secret = get(SALVOR, "secret", "salvord-tls") or {}
        authority.write_bytes(base64.b64decode(secret["data"]["ca.crt"]))
        token.touch(mode=0o600)
        token.write_text(in_salvord("cat", "/var/lib/salvor/state/api.token"))
        return f"127.0.0.1:{port}", ["--ca-file", str(authority), "--token-file", str(token)]

    def cli(self, *words: str, check: bool = True, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([str(BIN / "salvor"), "--server", self.server, *self.options, *words], text=True,
                              capture_output=True, timeout=seconds, env={**os.environ, "NO_COLOR": "1"})
        if check:
            self.assertEqual(done.returncode, 0, f"salvor {' '.join(words)}:\n{done.stdout}{done.stderr}")
        return done

    def declare(self) -> None:
        """The example, with this test's bucket and namespace."""
        text = EXAMPLE.read_text()
        for old, new in (("s3:https://s3.example.com/backups/salvor", repository_in(self.bucket)),
                         ("namespace: shop ", f"namespace: {self.space} ")):
            self.assertEqual(text.count(old), 1, f"the example has no '{old}' any more")
            text = text.replace(old, new)
        path = self.folder / "shop.yaml"
        path.write_text(text)
        self.cli("apply", "-f", str(path))

    def put_beside_velero(self) -> None:
        """With a volume in the application's namespace, which a pod uses; everything is declared at the end."""
        self.load_image()
        apply(self.space, claim("uploads"))
        start(self.space, pod("user", "uploads", "echo word > /data/word; exec sleep 3600"))
        self.apply_all()
        self.make_certificate()
        self.make_secrets()
        self.wait_for_executor()
        self.server, self.options = self.forwarded()
        wait_for("salvord to answer through the port-forward", lambda: self.cli("version", check=False).returncode == 0,
                 READY_SECONDS, lambda: self.cli("version", check=False).stderr)
        self.declare()

    def opt_in(self) -> None:
        """The word of the namespace's owner."""
        kubectl("-n", self.space, "create", "rolebinding", "salvor", "--clusterrole=salvor-application",
                "--serviceaccount=salvor:salvor-executor")

    def back_up_shop(self) -> str:
        wait_for("the volume to be written", lambda: volumes.has_file(self.space, "user", "/data/word"), READY_SECONDS,
                 lambda: pods_of(self.space))
        return self.cli("backup", "create", "shop", "--wait", seconds=BACKUP_SECONDS).stdout
