#!/usr/bin/env python3
"""Reads `salvor run list -o json` and prints the name of the newest run of a kind (backup, drill, restore)."""
import json
import sys


def main():
    kind = sys.argv[1].capitalize()
    headers = [run["header"] for run in json.load(sys.stdin)["items"]]  # the newest first
    name = next((header["name"] for header in headers if header["kind"] == kind), None)
    if name is None:
        sys.exit(f"newest_run: no run of kind {sys.argv[1]}")
    print(name)


if __name__ == "__main__":
    main()
