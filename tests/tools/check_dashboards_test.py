"""tools/tidy/check_dashboards.py: the dashboards and alerts there are pass, and each kind of broken query is named."""
import copy
import json
import os
import re
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools/tidy"))
import check_dashboards  # noqa: E402

SERIES = {"salvor_a_total": {"kind", "job", "instance"}, "salvor_b": {"application", "job", "instance"},
          "salvor_c_seconds_bucket": {"le", "job", "instance"}, "salvor_c_seconds_sum": {"job", "instance"}}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard(expression, legend="", **place):
    panels = [{"id": 1, "title": "first", "gridPos": {"x": 0, "y": 0, "w": 12, "h": 4}, "targets": []},
              {"id": 2, "title": "second", "gridPos": {"x": 12, "y": 0, "w": 12, "h": 4, **place},
               "targets": [{"expr": expression, "legendFormat": legend, "datasource": SOURCE}]}]
    return {"panels": panels}

# Each alert with series in which it fires and in which it does not. A day is 1440 values; two of them are over then.
SUCCESS = "salvor_backup_last_success_timestamp_seconds %s"
NOT_COVERED = 'salvor_velero_volumes_total{outcome="not_covered",application="shop"} %s'
ALERTS = {
    "SalvorIsAway": ("salvor_build_info 1x9", "salvor_build_info 1x2900"),
    "SalvorBackupTooOld": (SUCCESS % "0x2900", SUCCESS % "86400x2900"),
    "SalvorVolumeNotCovered": (NOT_COVERED % "_x2800 1x100", NOT_COVERED % "1x2900"),
    "SalvorAgentAway": ('salvor_agent_connected{agent="a"} 0x2900', 'salvor_agent_connected{agent="a"} 1x2900'),
    "SalvorStepWaits": ("salvor_queue_oldest_step_age_seconds 3601x2900",
                        "salvor_queue_oldest_step_age_seconds 60x2900"),
    "SalvorLeftSomethingBehind": ("salvor_open_obligations 1x2900; salvor_active_runs 0x2900",
                                  "salvor_open_obligations 1x2900; salvor_active_runs 1x2900"),
    "SalvorStoreDamaged": ("salvor_store_damaged_records 1x2900", "salvor_store_damaged_records 0x2900"),
    "VeleroDoesNotAnswer": ("salvor_velero_server_up 0x2900", "salvor_velero_server_up 1x2900"),
    "VeleroLocationUnavailable": ("salvor_velero_storage_location_available 0x2900",
                                  "salvor_velero_storage_location_available 1x9"),
    "VeleroMovesNothing": ("salvor_velero_stalled_backups 1x2900", "salvor_velero_stalled_backups 0x2900"),
}
MORE = {"SalvorVolumeNotCovered": (NOT_COVERED % "0x2800 1x100", NOT_COVERED % "0x2900")}


class CheckDashboardsTest(unittest.TestCase):
    def found(self, expression, legend="", **place):
        return check_dashboards.check_dashboard(dashboard(expression, legend, **place), SERIES)

    def assert_found(self, words, expression, legend="", **place):
        self.assertIn(words, "\n".join(self.found(expression, legend, **place)))

    def test_the_real_ones_pass(self):
        self.assertEqual(check_dashboards.check(ROOT), [])

    def test_there_are_some(self):
        [(_, real)] = check_dashboards.dashboards(ROOT).items()
        self.assertGreater(len(list(check_dashboards.queries_of(real))), 25)
        text = json.dumps(real)
        for part in ("salvor_backup_last_success", "salvor_agent_connected", "salvor_velero_"):
            self.assertIn(part, text, "panels for hosts and for clusters")
        [alerts] = check_dashboards.blocks_of(ROOT, "groups:")
        self.assertGreater(len(check_dashboards.alerts_of(alerts)), 5)
        self.assertEqual(len(check_dashboards.blocks_of(ROOT, "scrape_configs:")), 1)

    def answers(self, expression, series):
        """Whether the alert's expression has an answer at the end of two days with these series."""
        given = [dict(zip(("series", "values"), one.split(" ", 1))) for one in series.split("; ")]
        asked = [{"expr": f"count({expression}) or vector(0)", "eval_time": "2890m",
                  "exp_samples": [{"labels": "{}", "value": 1}]}]
        tests = {"tests": [{"interval": "1m", "input_series": given, "promql_expr_test": asked}]}
        return not check_dashboards.promtool("test", "rules", "tests", tests=tests)

    def test_each_alert_fires_when_it_should_and_only_then(self):
        [block] = check_dashboards.blocks_of(ROOT, "groups:")
        alerts = dict(zip(re.findall(r"- alert: (\w+)", block), check_dashboards.alerts_of(block)))
        self.assertEqual(set(alerts), set(ALERTS))
        for name, (fires, quiet) in [*ALERTS.items(), *MORE.items()]:
            self.assertTrue(self.answers(alerts[name], fires), f"{name} does not fire with {fires}")
            self.assertFalse(self.answers(alerts[name], quiet), f"{name} fires with {quiet}")

    def test_the_catalogue_is_read_whole(self):
        series = check_dashboards.catalogue(ROOT)
        self.assertGreater(len(series), 35)
        self.assertEqual(series["salvor_agent_connected"], {"agent", "environment", "job", "instance"})
        self.assertIn("le", series["salvor_run_duration_seconds_bucket"])
        self.assertNotIn("salvor_run_duration_seconds", series)

    def test_sound_queries_pass(self):
        for expression in ('sum by (kind) (rate(salvor_a_total{kind!="x"}[$__rate_interval])) or vector(0)',
                           'salvor_b{application=~"$application"} > bool 2 * 3600',
                           "sum(salvor_b) by (application) / on (application) group_left (job) salvor_b offset 5m * 0",
                           "histogram_quantile(0.9, sum by (le) (rate(salvor_c_seconds_bucket[5m])))"):
            self.assertEqual(self.found(expression) if "group_left" not in expression else
                             check_dashboards.unknown_names(expression, SERIES), [], expression)

    def test_a_metric_that_nobody_serves_is_named(self):
        self.assert_found("no metric salvor_c", "sum(salvor_c)")
        self.assert_found("no metric slavor_a_total", "sum(salvor_b) + sum(rate(slavor_a_total[5m]))")
        self.assert_found("no metric salvor_c_seconds", "salvor_c_seconds{job=\"a\"}")

    def test_a_label_that_it_has_not_is_named(self):
        self.assert_found("salvor_b has no label kind", 'salvor_b{kind="backup"}')
        self.assert_found("salvor_b has no label kind",
                          'salvor_a_total{kind="a"} + on (job) salvor_b{job="a",kind=~"b"}')
        self.assert_found("no metric of it has the label knid", "sum by (job, knid) (salvor_a_total)")
        self.assert_found("no metric of it has the label environment", "salvor_b", "{{application}} {{environment}}")

    def test_what_does_not_parse_is_named(self):
        self.assert_found("second: ", "sum(salvor_b")
        self.assert_found("second: ", "salvor_b{application=~\"$nobody\"}[$unknown]")

    def test_a_query_that_can_return_nothing_is_named(self):
        self.assert_found("second: it returns nothing", 'salvor_a_total{kind="bakcup"}')
        self.assert_found("second: it returns nothing", "salvor_a_total + salvor_b", "")
        self.assertEqual(self.found('salvor_a_total{kind="backup"}'), [])

    def test_panels_have_places_and_numbers_of_their_own(self):
        self.assert_found("second: it overlaps first", "salvor_b", x=11)
        self.assert_found("second: it is wider than the page", "salvor_b", w=13)
        broken = dashboard("salvor_b")
        broken["panels"][1]["id"] = 1
        self.assertIn("second: the id 1 is another panel's", check_dashboards.check_layout(broken))

    def test_each_query_goes_to_the_chosen_data_source(self):
        broken = copy.deepcopy(dashboard("salvor_b"))
        broken["panels"][1]["targets"][0]["datasource"] = {"type": "prometheus", "uid": "mine"}
        self.assertEqual(len(check_dashboards.check_layout(broken)), 1)


if __name__ == "__main__":
    unittest.main()
