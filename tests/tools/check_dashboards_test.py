"""tools/tidy/check_dashboards.py: the dashboards and alerts there are pass, and each kind of broken query is named."""
import copy
import json
import os
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

    def test_the_catalogue_is_read_whole(self):
        series = check_dashboards.catalogue(ROOT)
        self.assertGreater(len(series), 35)
        self.assertEqual(series["salvor_agent_connected"], {"agent", "environment", "job", "instance"})
        self.assertIn("le", series["salvor_run_duration_seconds_bucket"])
        self.assertNotIn("salvor_run_duration_seconds", series)

    def test_sound_queries_pass(self):
        for expression in ('sum by (kind) (rate(salvor_a_total{kind!="x"}[$__rate_interval])) or vector(0)',
                           'salvor_b{application=~"$application"} > bool 2 * 3600',
                           "sum(salvor_b) by (application) / on (application) group_left (job) salvor_b offset 5m * 0 + 1",
                           "histogram_quantile(0.9, sum by (le) (rate(salvor_c_seconds_bucket[5m])))"):
            self.assertEqual(self.found(expression) if "group_left" not in expression else
                             check_dashboards.unknown_names(expression, SERIES), [], expression)

    def test_a_metric_that_nobody_serves_is_named(self):
        self.assert_found("no metric salvor_c", "sum(salvor_c)")
        self.assert_found("no metric slavor_a_total", "sum(salvor_b) + sum(rate(slavor_a_total[5m]))")
        self.assert_found("no metric salvor_c_seconds", "salvor_c_seconds{job=\"a\"}")

    def test_a_label_that_it_has_not_is_named(self):
        self.assert_found("salvor_b has no label kind", 'salvor_b{kind="backup"}')
        self.assert_found("salvor_b has no label kind", 'salvor_a_total{kind="a"} + on (job) salvor_b{job="a",kind=~"b"}')
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
