#!/usr/bin/env python3
"""The tests that need a running cluster: all, a smoke of them, or those named as unittest names them."""

import argparse
import fcntl
import os
import sys
import time
import unittest
from pathlib import Path
from typing import Any

from mending import after_an_interruption
from salvor import MADE_BY_SALVOR
from support import (LABEL, LOCK, RUN, VELERO, delete_backup, delete_namespace, delete_repositories, find, kubectl,
                     succeeds)
from volumes import delete_volumes

from bed.settings import KUBECONFIG

# All suites but lifecycle_test, which stops the cluster: it runs by name only.
ALL = ["policy_kernel_test", "smoke_test", "network_policy_test", "backup_test", "velero_lies_test", "client_test",
       "salvor_test", "salvor_backup_test", "salvor_bad_days_test", "salvor_restore_test", "salvor_copy_test",
       "salvor_second_cluster_test", "salvor_delete_test", "salvor_drill_test", "salvor_deploy_test",
       "salvor_discover_test", "salvor_metrics_test", "salvor_quiesce_test",
       "salvor_postgres_test"]
SMOKE = ["smoke_test", "network_policy_test.NetworkPolicy.test_default_deny_blocks_and_an_allowance_opens",
         "salvor_test.ThinThread.test_a_namespace_is_backed_up_as_one_operation",
         "salvor_drill_test.Drills.test_a_volume_kept_by_its_files"]
# Velero works with these in its own namespace.
VELERO_KINDS = "pods,pvc,podvolumebackups,podvolumerestores,datauploads,datadownloads"
SHOWN = 6000  # characters: the end of what there is to see


class Result(unittest.TextTestResult):
    """Says how long each test took: with a cluster that is worth knowing."""

    def startTest(self, test: unittest.TestCase) -> None:
        self.begin = time.monotonic()
        super().startTest(test)

    def addFailure(self, test: unittest.TestCase, error: Any) -> None:
        super().addFailure(test, error)
        self.show(test)

    def addError(self, test: unittest.TestCase, error: Any) -> None:
        super().addError(test, error)
        self.show(test)

    def show(self, test: unittest.TestCase) -> None:
        """Shows the namespaces of a failed test, before they are cleaned up."""
        for space in getattr(test, "spaces", []):
            self.stream.writeln(look("-n", space, "get", "pods,pvc", "-o", "wide"))
            self.stream.writeln(look("-n", space, "events"))
        if getattr(test, "spaces", []):
            self.stream.writeln(look("-n", VELERO, "get", VELERO_KINDS, "-o", "wide"))

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        self.stream.writeln(f"  ({time.monotonic() - self.begin:.0f} s with its cleaning up)")
        self.stream.flush()


def look(*words: str) -> str:
    try:
        return f"kubectl {' '.join(words)}:\n{kubectl(*words)[-SHOWN:]}"
    except AssertionError as failed:
        return str(failed)


def trouble() -> str:
    """Why there is nothing to test; empty if there is."""
    if not KUBECONFIG.exists():
        return "there is no cluster"
    if not os.access(KUBECONFIG, os.R_OK):
        return f"{KUBECONFIG} is root's, so the tests have to be run as root"
    if not succeeds("get", "--raw", "/readyz", "--request-timeout=5s"):
        return "the cluster's API server does not answer"
    return ""


def unbuilt(names: list[str]) -> str:
    """Says which program of Salvor's the tests want and is not there; empty if none is missing."""
    if not any(name.startswith("salvor") for name in names):
        return ""
    folder = Path(os.environ["SALVOR_BIN"])
    programs = [folder / name for name in ("salvord", "salvor-agent", "salvor-supervise", "salvor")]
    return next((f"there is no {program}" for program in programs if not program.exists()), "")


def adopt_salvors() -> None:
    """Salvor labels its backups by its own rules: those of the tests' namespaces get the suite's label too."""
    spaces = {each["metadata"]["name"] for each in find("default", "namespaces", LABEL)}
    for each in find(VELERO, "backups.velero.io", MADE_BY_SALVOR):
        name, included = each["metadata"]["name"], set(each["spec"].get("includedNamespaces", []))
        if included and included <= spaces:
            kubectl("-n", VELERO, "label", "backups.velero.io", name, f"{LABEL}={RUN}", "--overwrite")
            kubectl("-n", VELERO, "delete", "configmap", name, "--ignore-not-found")


def remove_leftovers() -> None:
    """The leftovers of an interrupted run."""
    adopt_salvors()
    after_an_interruption()
    for backup in find(VELERO, "backups.velero.io", LABEL):
        delete_backup(backup["metadata"]["name"])
    for space in [*find("default", "namespaces", LABEL), *find("default", "namespaces", "salvor.dev/scratch")]:
        delete_namespace(space["metadata"]["name"])
        delete_repositories(space["metadata"]["name"])
    for storage_class in find("default", "storageclasses", LABEL):
        delete_volumes(storage_class["metadata"]["name"])
    kubectl("delete", "storageclasses,clusterroles,clusterrolebindings", "-l", LABEL)
    kubectl("-n", VELERO, "delete", "roles,rolebindings", "-l", LABEL)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/dev test --cluster", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="the subset for every submission, under four minutes")
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="such as backup_test or smoke_test.Database; lifecycle_test runs only so")
    arguments = parser.parse_args()
    if found := trouble():
        print(f"error: {found}\n  hint: 'tools/dev cluster up' starts what is missing.", file=sys.stderr)
        return 2
    names = (SMOKE if arguments.smoke else []) + arguments.names
    names = names or ALL
    if found := unbuilt(names):
        print(f"error: {found}\n  hint: 'tools/dev test' builds it; or set SALVOR_BIN.", file=sys.stderr)
        return 2
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("error: another run of these tests is under way; they would disturb each other", file=sys.stderr)
            return 2
        remove_leftovers()
        result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result).run(suite)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
