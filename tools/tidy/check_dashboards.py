#!/usr/bin/env python3
"""Holds deploy/grafana and the alerts in docs/kubernetes.md to docs/reference/metrics.md, which tests hold to the code:
every query parses, names metrics and labels that exist, and returns something where all of the metrics are there;
panels do not overlap. promtool reads and runs the queries.

Usage: check_dashboards.py ROOT
"""
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile

PAGE, DASHBOARDS, DOCUMENT = "docs/reference/metrics.md", "deploy/grafana", "docs/kubernetes.md"
COLUMNS = 24
# Every scrape gives these.
OF_THE_TARGET = {"job", "instance"}
# The values of labels in the series that queries are tried on; "x" for labels that are not here.
VALUES = {"application": ["shop"], "action": ["velero_backup", "disk_backup"], "kind": ["backup", "drill", "restore"],
          "verdict": ["complete", "partial", "failed"], "stage": ["queued", "running"],
          "outcome": ["succeeded", "failed", "covered", "not_covered", "left_out"],
          "subject": ["server", "storage_locations", "queue"], "le": ["1", "60", "+Inf"], "job": ["salvor"],
          "instance": ["a:1", "b:1"]}
# What Grafana puts in place of its variables, as far as it can be known.
VARIABLES = {"__rate_interval": "5m", "__interval": "1m", "__range": "30m", "application": ".*"}
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_:][\w:]*|\d[\w.]*|=~|!~|!=|[^\s\w]')
NAME = re.compile(r"[A-Za-z_:][\w:]*$")
KEYWORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.S | re.M)


def read(root: str, path: str) -> str:
    with open(os.path.join(root, path), encoding="utf-8") as text:
        return text.read()


def catalogue(root: str) -> dict:
    """The labels of each series that there may be, by its name."""
    found = {}
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", read(root, PAGE), re.M):
        names = set(re.findall(r"`(\w+)`", labels)) | OF_THE_TARGET
        if kind == "histogram":
            found.update({f"{name}_bucket": names | {"le"}, f"{name}_sum": names, f"{name}_count": names})
        else:
            found[name] = names
    return found


def filled(expression: str) -> str:
    """As Grafana would send it. A variable that nobody knows stays, and does not parse."""
    return re.sub(r"\$(\w+)|\$\{(\w+)\}", lambda it: VARIABLES.get(it[1] or it[2], it[0]), expression)


def panels_of(dashboard: dict):
    for panel in dashboard.get("panels", []):
        yield panel
        yield from panel.get("panels", [])


def queries_of(dashboard: dict):
    """Each query with the title of its panel and its legend, as Grafana would send it."""
    for panel in panels_of(dashboard):
        for target in panel.get("targets", []):
            yield panel["title"], filled(target["expr"]), target.get("legendFormat", "")


def dashboards(root: str) -> dict:
    folder = os.path.join(root, DASHBOARDS)
    names = sorted(name for name in os.listdir(folder) if name.endswith(".json")) if os.path.isdir(folder) else []
    return {f"{DASHBOARDS}/{name}": json.loads(read(root, f"{DASHBOARDS}/{name}")) for name in names}


def blocks_of(root: str, beginning: str) -> list:
    """The examples in YAML of the document that begin with this word."""
    return [text for text in BLOCK.findall(read(root, DOCUMENT)) if re.match(beginning, text)]


def alerts_of(block: str) -> list:
    return re.findall(r"^ +expr: (.+)$", block, re.M)


def labels_in(tokens: list, start: int, end: str) -> tuple:
    """Names up to the closing bracket, those before an operator or a comma alone; and where it stands."""
    found, at = [], start
    while at < len(tokens) and tokens[at] != end:
        if NAME.match(tokens[at]) and tokens[at - 1] in ("{", "(", ","):
            found.append(tokens[at])
        at += 1
    return found, at


def unknown_names(expression: str, series: dict, legend: str = "") -> list:
    """What the query names and nothing has."""
    tokens, found, available, grouped, at = TOKEN.findall(expression), [], set(), [], 0
    while at < len(tokens):
        token, following = tokens[at], tokens[at + 1] if at + 1 < len(tokens) else ""
        at += 1
        if not NAME.match(token) or token.lower() in KEYWORDS:
            continue
        if token in GROUPING:
            names, at = labels_in(tokens, at + 1, ")") if following == "(" else ([], at)
            grouped += names
        elif following != "(" and following not in GROUPING:
            if token not in series:
                found.append(f"no metric {token}")
            known = series.get(token, set())
            available |= known
            names, at = labels_in(tokens, at + 1, "}") if following == "{" else ([], at)
            found += [f"{token} has no label {name}" for name in names if known and name not in known]
    shown = re.findall(r"\{\{\s*(\w+)\s*\}\}", legend)
    return found + [f"no metric of it has the label {name}" for name in grouped + shown if name not in available]


def promtool(*words: str, **files: dict) -> str:
    """What it complains of; empty when it is content. Files by their names, as values, for YAML contains JSON."""
    with tempfile.TemporaryDirectory() as folder:
        for name, value in files.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
                out.write(value if isinstance(value, str) else json.dumps(value))
        done = subprocess.run(["promtool", *words], cwd=folder, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stdout + done.stderr


def why_unreadable(expression: str) -> str:
    rules = {"groups": [{"name": "one", "rules": [{"record": "one", "expr": expression}]}]}
    return " ".join(promtool("check", "rules", "rules", rules=rules).split())


def all_series(series: dict) -> list:
    made = []
    for name, labels in sorted(series.items()):
        names = sorted(labels)
        for values in itertools.product(*(VALUES.get(label, ["x"]) for label in names)):
            text = ",".join(f'{label}="{value}"' for label, value in zip(names, values))
            made.append({"series": f"{name}{{{text}}}", "values": "1+1x60"})
    return made


def without_answer(expressions: list, series: dict) -> list:
    """Those that return nothing although every series is there."""
    asked = [{"expr": f"count({text}) > bool 0", "eval_time": "50m", "exp_samples": [{"labels": "{}", "value": 1}]}
             for text in expressions]
    tests = {"rule_files": [], "evaluation_interval": "1m",
             "tests": [{"interval": "1m", "input_series": all_series(series), "promql_expr_test": asked}]}
    said = promtool("test", "rules", "tests", tests=tests)
    if not said:
        return []
    said = said.replace('\\"', '"')
    return [text for one, text in zip(asked, expressions) if f'expr: "{one["expr"]}"' in said] or expressions


def check_layout(dashboard: dict) -> list:
    found, taken, seen = [], {}, set()
    for panel in panels_of(dashboard):
        name, place = panel.get("title", ""), panel["gridPos"]
        if not name:
            found.append(f"panel {panel['id']} has no title")
        if panel["id"] in seen:
            found.append(f"{name}: the id {panel['id']} is another panel's")
        seen.add(panel["id"])
        if place["x"] + place["w"] > COLUMNS:
            found.append(f"{name}: it is wider than the page")
        columns, lines = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        for cell in itertools.product(columns, lines):
            other = taken.setdefault(cell, name)
            if other != name:
                found.append(f"{name}: it overlaps {other}")
                break
        for target in panel.get("targets", []):
            if target.get("datasource", {}) != {"type": "prometheus", "uid": "${datasource}"}:
                found.append(f"{name}: its query has another data source than the dashboard's")
    return found


def check_dashboard(dashboard: dict, series: dict) -> list:
    found, sound = check_layout(dashboard), []
    for title, expression, legend in queries_of(dashboard):
        if why := why_unreadable(expression):
            found.append(f"{title}: {why}")
        elif unknown := unknown_names(expression, series, legend):
            found += [f"{title}: {one}" for one in unknown]
        else:
            sound.append((title, expression))
    silent = without_answer([expression for _, expression in sound], series)
    return found + [f"{title}: it returns nothing" for title, expression in sound if expression in silent]


def check_document(root: str, series: dict) -> list:
    found = []
    for block in blocks_of(root, "groups:"):
        if said := promtool("check", "rules", "rules", rules=block):
            found.append(said)
        found += [one for expression in alerts_of(block) for one in unknown_names(expression, series)]
    for block in blocks_of(root, "scrape_configs:"):
        if said := promtool("check", "config", "config", config=block):
            found.append(said)
    return found


def check(root: str) -> list:
    series, found = catalogue(root), []
    for path, dashboard in dashboards(root).items():
        found += [f"{path}: {one}" for one in check_dashboard(dashboard, series)]
    return found + [f"{DOCUMENT}: {one}" for one in check_document(root, series)]


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    found = check(sys.argv[1])
    for one in found:
        print(one)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
