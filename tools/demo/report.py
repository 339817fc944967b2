#!/usr/bin/env python3
"""The demo's closing table, from what it kept in a directory: 80 columns, for people."""
import collections
import datetime
import json
import os
import sys

RULE = "─" * 80


def load(directory: str, name: str):
    with open(os.path.join(directory, name)) as text:
        return json.load(text)


def human_bytes(value: int) -> str:
    size = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024


def instant(text: str) -> datetime.datetime:
    """RFC 3339 with up to nine digits of a second; microseconds are enough here."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.datetime.fromisoformat(whole).replace(microsecond=int(fraction.ljust(6, "0")[:6] or 0))


def clock(at: datetime.datetime) -> str:
    return at.strftime("%H:%M:%S.") + f"{at.microsecond // 1000:03d}"


def captured(manifest: dict):
    print(f"CAPTURED   backup {manifest['backup']}")
    print(f"  {'component':<11}{'what':<26}{'rows or files':>15}{'bytes':>12}  {'state of (UTC)'}")
    instants = []
    for artifact in manifest["artifacts"]:
        kind = artifact["kind"]
        if kind == "KIND_POSTGRES_DUMP":
            what, count = "database " + artifact["database"], int(artifact.get("rows", 0))
        elif kind == "KIND_TREE":
            what, count = "files and folders", int(artifact.get("files", 0))
        elif kind == "KIND_POSTGRES_GLOBALS":
            what, count = "roles of the server", None
        else:
            continue
        at = instant(artifact["consistentAt"]) if artifact.get("consistentAt") else None
        if at and kind != "KIND_POSTGRES_GLOBALS":
            instants.append(at)
        print(f"  {artifact['component']:<11}{what:<26}{'' if count is None else f'{count:,}':>15}"
              f"{human_bytes(int(artifact.get('bytes', 0))):>12}  {clock(at) if at else ''}".rstrip())
    if instants:
        skew = (max(instants) - min(instants)).total_seconds()
        print(f"  the states lie {skew:.1f} s apart (skew between components)")
    missing = manifest.get("missing", [])
    print("  missing: " + (", ".join(f"{m['title']} ({m['why']})" for m in missing) or "nothing: the backup is complete"))


def checks_of(run: dict) -> list:
    return [check for step in run.get("steps", []) for check in step.get("result", {}).get("checks", [])]


def proven_by_run(title: str, run: dict):
    checks = checks_of(run)
    verdicts = collections.Counter(check["verdict"].lower() for check in checks)
    print(f"  {title} {run['header']['name']}: {verdicts['passed']} checks passed, {verdicts['failed']} failed, "
          f"{verdicts['unverifiable']} unverifiable")
    kinds = collections.Counter(check["kind"] for check in checks)
    line = "    "
    for word in (f"{kind} {count}" for kind, count in sorted(kinds.items())):
        if len(line) + len(word) > 78:
            print(line.rstrip(" ·"))
            line = "    "
        line += word + " · "
    print(line.rstrip(" ·"))


def wrapped(mark: str, text: str):
    words, line = text.split(), f"  {mark} "
    for word in words:
        if len(line) + len(word) > 79:
            print(line.rstrip())
            line = "    "
        line += word + " "
    print(line.rstrip())


def phases(directory: str):
    print("TIME")
    total = 0
    with open(os.path.join(directory, "phases.tsv")) as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines]
    for name, milliseconds in rows:
        total += int(milliseconds)
        print(f"  {name:<14}{int(milliseconds) / 1000:>8.1f} s")
    print(f"  {'together':<14}{total / 1000:>8.1f} s")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: report.py DIRECTORY")
    directory = sys.argv[1]
    manifest = load(directory, "manifest.json")
    print("\n" + RULE)
    captured(manifest)
    print("PROVEN")
    proven_by_run("drill  ", load(directory, "drill.json"))
    proven_by_run("restore", load(directory, "restore.json"))
    print("  this demo, with restic and PostgreSQL's tools alone:")
    for line in load(directory, "proof.json"):
        wrapped("✓" if line["passed"] else "✗", f"{line['what']}: {line['compared']}")
    phases(directory)
    print("NEXT")
    print("  tools/dev demo --keep          the same, left running to play with")
    print("  deploy/examples/shop.yaml      what was declared; copy it for your own")
    print("  README.md, docs/               how it works, how to operate it")
    print(RULE)


if __name__ == "__main__":
    main()
