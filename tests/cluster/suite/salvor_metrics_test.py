"""Prometheus scrapes Salvor inside of the cluster as docs/kubernetes.md says, and the dashboard shows what is so; there
is an agent on each node, too."""

import json
import subprocess
import sys
import unittest
from typing import Any
from urllib.parse import quote

from deployed import SALVOR, DeployedSalvor, in_salvord
from salvor import ROOT
from support import READY_SECONDS, VELERO, Json, apply, find, get, kubectl, pods_of, succeeds, wait_for

from bed import images
from bed.configuration import s3_access
from bed.probes import condition

sys.path.insert(0, str(ROOT / "tools/tidy"))
import check_dashboards  # noqa: E402

PORT = 9090
POD = "prometheus"
OFTEN = "global: {scrape_interval: 2s}\n"
SALVORD, AGENT = "salvord-0:9470", "salvor-executor-0:9471"


def prometheus(configuration: str) -> list[Json]:
    """The bed's own, with a configuration of ours."""
    container = {"name": "main", "image": images.image_names()["prometheus"],
                 "args": ["--config.file=/configuration/prometheus.yml", "--storage.tsdb.path=/prometheus"],
                 "ports": [{"containerPort": PORT}],
                 "readinessProbe": {"httpGet": {"path": "/-/ready", "port": PORT}, "periodSeconds": 1},
                 "volumeMounts": [{"name": "configuration", "mountPath": "/configuration"}]}
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": POD},
             "data": {"prometheus.yml": configuration}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD},
             "spec": {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False,
                      "containers": [container],
                      "volumes": [{"name": "configuration", "configMap": {"name": POD}}]}}]


class Metrics(DeployedSalvor):
    with_nodes = True

    def start_prometheus(self) -> None:
        self.watch = self.namespace("salvor-metrics")
        [scrape] = check_dashboards.blocks_of(str(ROOT), "scrape_configs:")
        self.assertEqual(scrape.count("# - {"), 1, "that of the agents on the nodes")
        apply(self.watch, *prometheus(OFTEN + scrape.replace("# - {", "- {")))
        wait_for("Prometheus to be ready", lambda: condition(get(self.watch, "pod", POD) or {}, "Ready") == "True",
                 READY_SECONDS, lambda: (pods_of(self.watch), kubectl("-n", self.watch, "logs", POD, "--tail=20")))

    def ask(self, query: str) -> list[Any]:
        """What the query returns now."""
        path = f"/api/v1/namespaces/{self.watch}/pods/{POD}:{PORT}/proxy/api/v1/query?query={quote(query, safe='')}"
        answer = json.loads(kubectl("get", "--raw", path))
        self.assertEqual(answer["status"], "success", answer)
        return answer["data"]["result"]

    def values(self, query: str) -> list[float]:
        return [float(each["value"][1]) for each in self.ask(query)]

    def wait_for_value(self, query: str, wanted: list[float]) -> None:
        wait_for(f"{query} to be {wanted}", lambda: self.values(query) == wanted, READY_SECONDS,
                 lambda: (self.ask(query), pods_of(SALVOR)))

    def served_by(self, pod: str) -> str:
        return kubectl("get", "--raw", f"/api/v1/namespaces/{SALVOR}/pods/{pod}/proxy/metrics")

    def check_dashboard(self) -> None:
        [dashboard] = check_dashboards.dashboards(str(ROOT)).values()
        queries = {title + legend: query for title, query, legend in check_dashboards.queries_of(dashboard)}
        self.assertGreater(len(queries), 25)

        def silent() -> list[str]:
            return [title for title, query in queries.items() if not self.ask(query)]
        # A rate wants two scrapes.
        wait_for("every query of the dashboard to return something", lambda: not silent(), READY_SECONDS, silent)

    def check_what_is_seen(self) -> None:
        self.wait_for_value('salvor_velero_volumes_total{application="shop",outcome="covered"}', [1])
        self.assertEqual(self.values('salvor_velero_volumes_total{outcome="not_covered"}'), [0])
        self.assertEqual(self.values(f'salvor_velero_server_up{{velero_namespace="{VELERO}"}}'), [1])
        self.assertEqual(self.values('salvor_velero_storage_location_available{storage_location="default"}'), [1])
        self.assertEqual(self.values("salvor_velero_stalled_backups"), [0])
        self.assertEqual(len(self.values("salvor_velero_kept_bytes_total")), 1)
        [version] = self.ask("salvor_velero_server_info")
        self.assertIn(version["metric"]["version"], kubectl("-n", VELERO, "get", "deployment", "velero", "-o", "json"))
        looks = self.ask("time() - salvor_velero_last_look_timestamp_seconds")
        self.assertEqual({each["metric"]["subject"] for each in looks}, {"server", "storage_locations", "queue"})
        self.assertTrue(all(0 <= float(each["value"][1]) < 600 for each in looks), looks)
        # By now salvord has written it down.
        self.wait_for_value('time() - salvor_backup_last_success_timestamp_seconds{application="shop"} < bool 600', [1])

    def check_alerts(self) -> None:
        """All is well, so none of them fires."""
        [block] = check_dashboards.blocks_of(str(ROOT), "groups:")
        for expression in check_dashboards.alerts_of(block):
            self.assertEqual(self.ask(expression), [], expression)

    def check_texts(self) -> None:
        """Clean, and without a secret."""
        token = in_salvord("cat", "/var/lib/salvor/state/api.token").strip()
        for pod in (SALVORD, AGENT):
            text = self.served_by(pod)
            lint = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
            self.assertEqual((lint.returncode, lint.stdout + lint.stderr), (0, ""), pod)
            self.assertIn("salvor_", text)
            for secret in (token, "of-a-test", s3_access()["secret_key"], self.bucket):
                self.assertNotIn(secret, text, pod)

    def check_nodes(self) -> None:
        """Each has an agent that shows as what it is, and that nobody gave a right."""
        nodes = find("default", "nodes")

        def agents() -> list[Json]:
            listed = json.loads(self.cli("agent", "list", "-o", "json").stdout)["items"]
            return [each for each in listed if each["kind"] == "Node" and each.get("connected")]
        wait_for("an agent of each node", lambda: len(agents()) == len(nodes), READY_SECONDS,
                 lambda: self.cli("agent", "list").stdout)
        self.assertEqual({each["labels"]["node"] for each in agents()}, {each["metadata"]["name"] for each in nodes})
        self.assertTrue(all(each["name"].startswith("salvor-node-") for each in agents()))
        self.assertRegex(self.cli("agent", "list").stdout, r"salvor-node-\S+ +production +node +connected")
        account = f"system:serviceaccount:{SALVOR}:salvor-node"
        for verb, resource, space in (("list", "pods", SALVOR), ("get", "secrets", SALVOR), ("list", "nodes", SALVOR),
                                      ("list", "backups.velero.io", VELERO)):
            self.assertFalse(succeeds("auth", "can-i", verb, resource, "-n", space, f"--as={account}"), resource)

    def test_prometheus_scrapes_it_and_the_dashboard_shows_a_backup(self):
        self.put_beside_velero()
        self.check_nodes()
        self.start_prometheus()
        self.wait_for_value('count(up{job="salvor"} == 1)', [3])
        self.opt_in()
        self.assertIn("complete", self.back_up_shop())
        self.check_what_is_seen()
        self.check_dashboard()
        self.check_alerts()
        self.check_texts()


if __name__ == "__main__":
    unittest.main()
