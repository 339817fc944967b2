#!/usr/bin/env python3
"""Records what one version of Salvor writes and says, for every later version to read.

Run it once a version, with that version's programs:

    SALVOR_BIN=/path/to/its/bin PYTHONPATH=tests/system python3 tests/corpus/record.py tests/corpus/VERSION

It plays one small story (README.md beside it tells which), and keeps the stores of both programs as they were when
both were killed in the middle of work, the repository, and every message of the agent's stream.
"""

import argparse
import json
import pathlib
import shutil
import socket
import sqlite3
import threading

from stack import Stack, free_ports, wait_for

ROOT = pathlib.Path("/var/tmp/salvor-corpus")  # is part of what is recorded; a reader lays its copy elsewhere
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class StreamTap:
    """Collects the messages of gRPC calls in one direction of one connection: HTTP/2 DATA frames, joined a stream,
    cut at gRPC's five bytes. Nothing here is compressed, and no DATA frame of ours is padded."""

    def __init__(self, preface):
        self.rest = b""
        self.preface = len(preface)
        self.streams, self.messages = {}, []

    def feed(self, data):
        self.rest += data
        if self.preface:
            if len(self.rest) < self.preface:
                return
            self.rest, self.preface = self.rest[self.preface:], 0
        while len(self.rest) >= 9:
            length, kind = int.from_bytes(self.rest[:3], "big"), self.rest[3]
            if len(self.rest) < 9 + length:
                return
            stream = int.from_bytes(self.rest[5:9], "big") & 0x7FFFFFFF
            body, self.rest = self.rest[9:9 + length], self.rest[9 + length:]
            if kind == 0:
                self._data(stream, body)

    def _data(self, stream, body):
        held = self.streams.get(stream, b"") + body
        while len(held) >= 5 and len(held) >= 5 + int.from_bytes(held[1:5], "big"):
            assert held[0] == 0, "a compressed message"
            length = int.from_bytes(held[1:5], "big")
            self.messages.append(held[5:5 + length])
            held = held[5 + length:]
        self.streams[stream] = held


class Tap:
    """A loopback port in front of another; each connection's messages are kept by direction."""

    def __init__(self, port, to_port):
        self.to_port, self.taps = to_port, []
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.to_port))
            except OSError:
                return
            up, down = StreamTap(PREFACE), StreamTap(b"")
            self.taps.append((up, down))
            for source, target, tap in ((near, far, up), (far, near, down)):
                threading.Thread(target=self._pass, args=(source, target, tap), daemon=True).start()

    @staticmethod
    def _pass(source, target, tap):
        try:
            while data := source.recv(1 << 16):
                tap.feed(data)
                target.sendall(data)
        except OSError:
            pass
        target.close()


def write_messages(path, messages):
    """Each with its length before it, four bytes big endian."""
    path.write_bytes(b"".join(len(m).to_bytes(4, "big") + m for m in messages))


def copy_database(source, target):
    """As it would be found after the kill: committed content, WAL included, in one file."""
    with sqlite3.connect(f"file:{source}?mode=ro", uri=True) as read, sqlite3.connect(target) as write:
        read.backup(write)


def tell_the_story(stack):
    """Writes what README.md lists."""
    stack.sql("CREATE TABLE events(id bigint, day date) PARTITION BY RANGE (day);"
              "CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');"
              "INSERT INTO events SELECT g, '2026-01-01'::date + g FROM generate_series(1, 300) g;"
              "CREATE VIEW customers AS SELECT DISTINCT customer FROM orders;"
              "CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql AS 'SELECT 2 * i';"
              "CREATE INDEX by_customer ON orders(customer);", "shop")
    stack.cli("backup", "create", "shop", "--wait")
    stack.cli("drill", "create", "--backup", "latest:shop", "--wait")
    stack.cli("restore", "create", "--backup", "latest:shop", "--to", "shop", "--wait", check=False)  # refused
    stack.cli("restore", "create", "--backup", "latest:shop", "--to", "shop", "--rename-database", "shop=shop_copy",
              "--component", "db", "--wait", check=False)
    stack.apply(stack.declaration().replace('expect: "2"', 'expect: "3"'))
    stack.cli("backup", "create", "shop", "--wait")
    stack.cli("drill", "create", "--backup", "latest:shop", "--wait", check=False)  # disproven
    stack.apply(stack.declaration().replace("databases: [shop]", "databases: [shop, absent]"))
    stack.cli("backup", "create", "shop", "--wait", check=False)
    stack.apply(stack.declaration())
    cancelled = stack.start_run("backup", "create", "shop")
    stack.cli("run", "cancel", cancelled, "--reason", "the recording wants one")
    stack.outcome(cancelled)
    stack.views = [stack.cli("run", "show", run["header"]["name"], "-o", "json").stdout
                   for run in listed(stack, "run")]
    stack.backups = stack.cli("backup", "list", "-o", "json").stdout
    last = stack.start_run("backup", "create", "shop")
    wait_for("the last run to be at work", lambda: any(s["phase"] == "RUNNING" for s in stack.steps(last).values()))
    stack.kill_salvord()
    wait_for("the agent to have a result that nobody took", lambda: unacknowledged(stack) > 0)
    stack.kill_agent()


def listed(stack, kind):
    answer = json.loads(stack.cli(kind, "list", "-o", "json").stdout)
    return answer.get("items") or answer.get(f"{kind}s", [])  # as 0.1 named it


def unacknowledged(stack):
    with sqlite3.connect(f"file:{stack.dir}/agent/agent.db?mode=ro", uri=True) as database:
        return database.execute("SELECT count(*) FROM attempt WHERE result IS NOT NULL").fetchone()[0]


def keep(stack, tap, target):
    target.mkdir(parents=True)
    copy_database(stack.dir / "control/salvor.db", target / "salvor.db")
    copy_database(stack.dir / "agent/agent.db", target / "agent.db")
    shutil.copytree(stack.repository, target / "repository", ignore=shutil.ignore_patterns("locks"))
    shutil.copy(stack.password, target / "vault.password")
    for snapshot in stack.snapshots("salvor"):
        path = snapshot["paths"][0]
        tags = dict(tag.split("=", 1) for tag in snapshot["tags"] if "=" in tag)
        name = "manifest" if tags.get("kind") == "manifest" else tags["artifact"]
        if name == "manifest" or name.endswith((".details", "globals")) or "details" in name:
            file = target / "documents" / f"{tags['backup']}.{name}"
            file.parent.mkdir(exist_ok=True)
            file.write_text(stack.restic("dump", snapshot["id"], path).stdout)
    for number, (up, down) in enumerate(tap.taps):
        write_messages(target / f"conversation-{number}.agent", up.messages)
        write_messages(target / f"conversation-{number}.control", down.messages)
    (target / "views").mkdir()
    for view in stack.views:
        (target / "views" / f"{json.loads(view)['header']['name']}.json").write_text(view)
    (target / "backups.json").write_text(stack.backups)
    (target / "recorded.json").write_text(json.dumps({"directory": str(ROOT)}) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("target", type=pathlib.Path)
    target = parser.parse_args().target
    control, port = free_ports(2)
    stack = Stack(rows=200, files=6)
    stack.dir.rmdir()
    stack.dir = ROOT
    ROOT.mkdir(mode=0o755)
    stack.uploads, stack.repository, stack.password = ROOT / "uploads", ROOT / "vault", ROOT / "vault.password"
    stack.server = f"127.0.0.1:{control}"
    with stack:
        stack.agent.terminate()
        stack.agent.wait()
        tap = Tap(port, control)
        stack.start_agent(server=f"127.0.0.1:{port}")
        tell_the_story(stack)
        keep(stack, tap, target)


if __name__ == "__main__":
    main()
