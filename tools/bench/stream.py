#!/usr/bin/env python3
"""The streaming phase of a Salvor backup against the same pipe by hand.

Each pair runs, on the same quiet database and each into a fresh repository: the pipe by hand; Salvor without
expectations; Salvor with exact counts and content hashes. Ratios are taken pair by pair (they hold when the
machine's speed drifts), and their medians printed. The streaming phase is from the start of pg_dump and restic to
the end of both, as the agent logs it; all else that the run spends is the overhead.
"""

import argparse
import contextlib
import datetime
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time

from stack import Stack

BYTES_PER_ROW = 116  # of the dump


class Bench(Stack):
    def declaration(self, **replace):
        text = super().declaration(**replace)
        return text[:text.index("    checks:")]


def by_hand(stack, repository):
    subprocess.run(["restic", "-r", repository, "--password-file", stack.password, "init"], check=True, capture_output=True)
    begin = time.monotonic()
    dump = subprocess.Popen(["pg_dump", "-Fc", "-Z0", "-h", stack.dir / "pg", "-U", "postgres", "shop"], stdout=subprocess.PIPE)
    subprocess.run(["restic", "-r", repository, "--password-file", stack.password, "--cache-dir", stack.dir / "cache", "backup",
                    "--stdin", "--quiet"], stdin=dump.stdout, check=True, capture_output=True)
    if dump.wait() != 0:
        sys.exit("bench: pg_dump failed")
    return time.monotonic() - begin


def instant(text):
    head, _, fraction = text.rstrip("Z").partition(".")
    at = datetime.datetime.fromisoformat(head).replace(tzinfo=datetime.timezone.utc)
    return at.timestamp() + float("0." + (fraction or "0"))


class PeakMemory(threading.Thread):
    """The largest resident set of one process while it is watched and lives, in KiB."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.kib, self.over = pid, 0, threading.Event()
        self.start()

    def _status(self):
        with contextlib.suppress(OSError), open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return status.readlines()
        return []

    def run(self):
        while not self.over.wait(0.05):
            for line in self._status():
                if line.startswith("VmRSS:"):
                    self.kib = max(self.kib, int(line.split()[1]))


def by_salvor(stack, repository, level):
    """Seconds of the streaming step, and of everything around it."""
    stack.apply(stack.declaration(repository=repository, extra=f"expectations: {{level: {level}}}"))
    run = stack.start_run("backup", "create", "shop")
    if stack.outcome(run) != "SUCCEEDED":
        sys.exit(f"bench: {stack.run(run).get('reason')}")
    said = re.search(r"pg_dump \| restic: \d+ bytes in ([0-9.]+) s", stack.cli("run", "logs", run).stdout)
    stream = float(said.group(1))
    results = [step["result"] for step in stack.steps(run).values()]
    begin = min(instant(r.get("started_at") or r["startedAt"]) for r in results)
    end = max(instant(r.get("finished_at") or r["finishedAt"]) for r in results)
    return stream, end - begin - stream


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=4096)
    parser.add_argument("--pairs", type=int, default=3)
    arguments = parser.parse_args()
    plain, exact, overhead = [], [], []
    with Bench(rows=arguments.mib * (1 << 20) // BYTES_PER_ROW, files=2) as stack:
        stack.sql("VACUUM ANALYZE; CHECKPOINT", "shop")
        print(f"database {stack.sql('SELECT pg_size_pretty(pg_database_size(current_database()))', 'shop')}", file=sys.stderr)
        memory = PeakMemory(stack.agent.pid)
        for pair in range(arguments.pairs + 1):  # the first warms the caches and is not counted
            seconds = {}
            for name, go in (("hand", lambda r: by_hand(stack, r)), ("none", lambda r: by_salvor(stack, r, "None")),
                             ("exact", lambda r: by_salvor(stack, r, "Exact"))):
                repository = stack.dir / f"vault-{pair}-{name}"
                seconds[name] = go(repository)
                shutil.rmtree(repository)
            print(f"pair {pair}: by hand {seconds['hand']:.2f} s, salvor {seconds['none'][0]:.2f} s + {seconds['none'][1]:.2f} s, "
                  f"with expectations {seconds['exact'][0]:.2f} s + {seconds['exact'][1]:.2f} s", file=sys.stderr)
            if pair > 0:
                plain.append(seconds["none"][0] / seconds["hand"])
                exact.append(seconds["exact"][0] / seconds["hand"])
                overhead.append(seconds["exact"][1])
        memory.over.set()
    print(f"bench stream ratio={statistics.median(plain):.3f} ratio_with_expectations={statistics.median(exact):.3f} "
          f"overhead_s={statistics.median(overhead):.2f} agent_rss_mib={memory.kib / 1024:.0f}")


if __name__ == "__main__":
    main()
