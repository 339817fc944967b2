"""The test-bed mends itself: each of its processes killed, all of them killed, stopped and started again.

It stops and starts the one cluster of the machine, so it runs only by name: tools/dev test --cluster lifecycle_test"""

import json
import os
import signal
import subprocess
import time
import unittest
from datetime import datetime

import traces
import volumes
from support import HERE, RUN, VELERO, ClusterTest, Json, apply, get, kubectl, phase, wait_for

from bed import processes
from bed.components import table
from bed.host import SYSCTL_FILE
from bed.leftovers import pod_processes

DEV = HERE.parents[2] / "tools/dev"
UP_SECONDS = 180
# The time for processes, pods, mounts and rules to go; asked of the machine, not of the bed.
DOWN_SECONDS = 10
# Velero looks every ten seconds whether a location is due, and connects anew if the store was away.
LOCATION_SECONDS = 60
# It takes a moment, and on a busy machine as long as it takes.
FORCE_SECONDS = 120
WORD = f"of-{RUN}"
DENY = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}


def cluster(*words: str, seconds: float = UP_SECONDS) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(DEV), "cluster", *words], capture_output=True, text=True, timeout=seconds)


def location() -> Json:
    return get(VELERO, "backupstoragelocations.velero.io", "default") or {}


def watch_location(frequency: str | None) -> None:
    """Velero looks at its location once a minute, unless told; None: unless told again."""
    patch = json.dumps({"spec": {"validationFrequency": frequency}})
    kubectl("-n", VELERO, "patch", "backupstoragelocations.velero.io", "default", "--type=merge", "-p", patch)


def seen_available(since: float) -> bool:
    """Available by a look at it after that time, not by what Velero thought before. Looks are told in whole seconds."""
    looked = location().get("status", {}).get("lastValidationTime")
    late = looked is not None and datetime.fromisoformat(looked).timestamp() > since
    return late and phase(location()) == "Available"


class Lifecycle(ClusterTest):
    def setUp(self) -> None:
        watch_location("1s")
        self.addCleanup(watch_location, None)

    def up(self) -> float:
        """Mends it, and gives how long that took. The location was seen Available by the mended cluster."""
        begin = time.monotonic()
        done = cluster("up")
        took = time.monotonic() - begin
        self.assertEqual(done.returncode, 0, f"up: {done.stdout[-2000:]}{done.stderr}")
        now = time.time()
        wait_for("the storage location to be seen Available", lambda: seen_available(now), LOCATION_SECONDS,
                 lambda: location().get("status"))
        status = json.loads(cluster("status", "-o", "json").stdout)
        unwell = [f"{each['name']}: {each['detail']}" for each in status["components"] if each["state"] != "ok"]
        self.assertEqual(unwell, [])
        return took

    def down(self) -> float:
        """Stops it, and gives how long that took. Nothing of it is left on the machine."""
        before, ends = json.loads(SYSCTL_FILE.read_text()), traces.pod_links()
        begin = time.monotonic()
        done = cluster("down")
        took = time.monotonic() - begin
        self.assertEqual(done.returncode, 0, f"down: {done.stdout[-2000:]}{done.stderr}")
        self.assertEqual(traces.all_traces(), [])
        self.assertEqual(traces.links() & ends, set())
        self.assertEqual(traces.sysctls(list(before)), before)
        self.assertLessEqual(took, DOWN_SECONDS)
        return took

    def word_on_a_volume(self, name: str) -> str:
        space = self.namespace(name)
        apply(space, volumes.claim("data"))
        volumes.write(space, "data", WORD)
        return space

    def test_1_a_killed_process_is_mended(self):
        for component in table():
            with self.subTest(component.name):
                process = processes.find(component.name)
                self.assertIsNotNone(process, f"{component.name} does not run before it is killed")
                os.kill(process.pid, signal.SIGKILL)
                print(f"{component.name} {self.up():.1f} s, ", end="", flush=True)
                self.assertNotEqual(processes.find(component.name).pid, process.pid)

    def test_2_when_all_are_killed_the_data_is_kept(self):
        space = self.word_on_a_volume("killed")
        for process in [*processes.marked(), *pod_processes()]:
            processes.send(process, signal.SIGKILL)
        print(f"up {self.up():.1f} s, ", end="", flush=True)
        self.assertEqual(volumes.read(space, "data"), WORD)

    def test_3_down_leaves_nothing_even_of_a_killed_enforcer_and_up_brings_all_back(self):
        space = self.word_on_a_volume("stopped")
        apply(space, DENY)
        volumes.start(space, volumes.pod("user", "data", "exec sleep 3600"))
        address = get(space, "pod", "user")["status"]["podIP"]
        wait_for("the policy to be in force", lambda: any(address in each for each in traces.all_traces()),
                 FORCE_SECONDS, lambda: [each for each in traces.all_traces() if "SALVOR-" in each])
        os.kill(processes.find("network-policy").pid, signal.SIGKILL)
        wait_for("the enforcer to be gone", lambda: processes.find("network-policy") is None, FORCE_SECONDS,
                 lambda: processes.find("network-policy"))
        self.assertTrue([each for each in traces.all_traces() if each.startswith("set SALVOR-")])
        print(f"down {self.down():.1f} s, up {self.up():.1f} s, ", end="", flush=True)
        kubectl("-n", space, "delete", "networkpolicy", "deny")
        kubectl("-n", space, "delete", "pod", "user", "--timeout=60s", seconds=70)
        self.assertEqual(volumes.read(space, "data"), WORD)


if __name__ == "__main__":
    unittest.main()
