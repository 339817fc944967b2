"""Salvor beside the cluster: its control plane, and an executor that reaches the API as the cluster's administrator."""

import os
import sys
from pathlib import Path
from typing import Any

from support import BACKUP_SECONDS, VELERO, delete_backup, find, kubectl

from bed.settings import KUBECONFIG

ROOT = Path(__file__).resolve().parents[3]
os.environ.setdefault("SALVOR_BIN", str(ROOT / "build/dev/bin"))
os.environ.setdefault("SALVOR_TEST_DEADLINE_S", str(BACKUP_SECONDS))
sys.path.insert(0, str(ROOT / "tests/system"))

from stack import Stack  # noqa: E402

MADE_BY_SALVOR = "salvor.dev/run"


class ClusterStack(Stack):
    """A Salvor with one environment, the cluster, and one application: volumes of one namespace. Without PostgreSQL."""

    def __init__(self, space: str, claims: dict[str, str]) -> None:
        """claims: name and method, as a declaration has it."""
        super().__init__()
        self.space, self.claims = space, claims
        self.agent_options = ["--runtime", "kubernetes", "--kubeconfig", str(KUBECONFIG)]

    def __enter__(self) -> "ClusterStack":
        try:
            self.password.write_text("a password for a test\n")
            self.password.chmod(0o600)
            self._make_repository()
            self.start_salvord()
            self.start_agent()
            self.apply(self.declaration())
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        try:
            super().__exit__(kind, value, trace)
        finally:
            for backup in self.velero_backups():
                delete_backup(backup)
                kubectl("-n", VELERO, "delete", "configmap", backup, "--ignore-not-found")

    def _spawn(self, log: str, argv: list[Any], **options: Any) -> Any:
        """An agent that outlives a run of tests which was killed would go on with the cluster."""
        return super()._spawn(log, ["setpriv", "--pdeathsig", "KILL", *argv], **options)

    def declaration(self, **replace: Any) -> str:
        components = "".join(f"  - {{name: {name}, disk: {{claims: [{name}], method: {method}}}}}\n"
                             for name, method in self.claims.items())
        return f"""
apiVersion: salvor.dev/v1
kind: Location
metadata: {{name: vault}}
spec: {{restic: {{repository: "{self.repository}", passwordFile: "{self.password}"}}}}
---
apiVersion: salvor.dev/v1
kind: Environment
metadata: {{name: local}}
spec: {{runtime: Kubernetes, location: vault}}
---
apiVersion: salvor.dev/v1
kind: Application
metadata: {{name: shop}}
spec:
  environment: local
  namespace: {self.space}
  components:
{components}"""

    def velero_backups(self) -> list[str]:
        """Names of those that Salvor made of this namespace."""
        return [each["metadata"]["name"] for each in find(VELERO, "backups.velero.io", MADE_BY_SALVOR)
                if each["spec"].get("includedNamespaces") == [self.space]]


def shown(stack: ClusterStack, run: str) -> str:
    """As people see it, without its line breaks."""
    return " ".join(stack.cli("run", "show", run).stdout.split())
