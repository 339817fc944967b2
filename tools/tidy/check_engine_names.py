#!/usr/bin/env python3
"""Holds the general parts to what they are: they know no engine by name. Prints each line that does; exit code 1 if there
is one.

What an engine is called (postgres, disk and what is written for them) belongs into the folder of its strategy and that of
its engine. ALLOWED has what is there still, with the reason and how many lines there may be: it only shrinks. An entry that
allows more than is there is found too. Tests are free.

Usage: check_engine_names.py ROOT
"""
import os
import re
import sys

GENERAL = ("base", "flows", "controlplane", "strategies/interface", "strategies/compose", "strategies/verdicts", "agent/executor", "agent/journal",
           "agent/location", "agent/puller", "agent/work", "agent/scratch", "agent/probes", "tools/cli",
           "words")
# As a word, or as a part of one: postgres_dump, PostgresTarget, kDiskRestore, has_disk(), mutable_disk().
ENGINE = re.compile(r"postgres|pg_(?!z)|libpq|\b(?:has_|mutable_|set_)?disk_(?!is|full)\w+|\b(?:has_|mutable_)?disk\(\)|k?Disk[A-Z]\w*|KIND_TREE|"
                    r"mariadb|mysql|mongo|neo4j", re.IGNORECASE)
NO_ENGINE = re.compile(r"disk_full|OnAFullDisk|disk_bytes", re.IGNORECASE)

ALLOWED = {  # path: (lines, why)
    "agent/work/policy.cc": (6, "interpreters by name; and where files may be restored, until actions say what they write"),
    "base/redact.cc": (1, "what passwords are called, whoever's they are"),
    "base/redact_rows.cc": (1, "how lines of tools begin that hold no rows"),
    "tools/cli/commands/restore_command.cc": (4, "flags of the command line"),
}


def is_test(path: str) -> bool:
    stem = os.path.splitext(path)[0]
    return stem.endswith(("_test", "_testing", "_fuzzer")) or "/testing/" in path


def code_lines(text: str):
    """The lines without their comments: who explains something may give an example."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"', re.S)
    kept = pattern.sub(lambda found: re.sub(r"[^\n]", "", found[0]) if found[0].startswith("/") else found[0], text)
    return enumerate(kept.split("\n"), 1)


def names_in(root: str):
    for general in GENERAL:
        for folder, folders, files in os.walk(os.path.join(root, general)):
            folders.sort()
            for name in sorted(files):
                path = os.path.relpath(os.path.join(folder, name), root)
                if not name.endswith((".h", ".cc")) or is_test(path):
                    continue
                with open(os.path.join(root, path), encoding="utf-8", errors="replace") as source:
                    for number, line in code_lines(source.read()):
                        if ENGINE.search(NO_ENGINE.sub("", line)):
                            yield path, number, line.strip()


def check(root: str, allowed: dict) -> list:
    found: dict = {}
    for path, number, line in names_in(root):
        found.setdefault(path, []).append((number, line))
    problems = []
    for path, lines in found.items():
        if len(lines) > allowed.get(path, (0, ""))[0]:
            problems += [f"{path}:{number}: names an engine: {line}" for number, line in lines]
    for path, (most, _) in allowed.items():
        if len(found.get(path, [])) < most:
            problems.append(f"{path}: names engines in {len(found.get(path, []))} lines, and {most} are allowed: allow fewer")
    return problems


def main():
    problems = check(sys.argv[1], ALLOWED)
    for problem in problems:
        print(problem)
    if not problems:
        print(f"the general parts name engines in {sum(most for most, _ in ALLOWED.values())} lines that are known, and in no other")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
