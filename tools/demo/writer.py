#!/usr/bin/env python3
"""The demo's application: keeps changing both databases at a steady rate until it is told to stop.

One connection a database, one numbered heartbeat row a transaction, so that a restored copy can be checked:
its heartbeats must run 1, 2, 3 … without a gap, and each must have its order. What the server has committed is
counted from its answers and kept in the status file as JSON: {"committed": 4711, "seconds": 94.2}.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time

SHOP_TRANSACTION = """
BEGIN;
WITH o AS (
  INSERT INTO sales.orders (customer_id, state, placed_at, total, note)
  VALUES (1000 + {n} % 500, 'new', now(), {n} % 900, 'written while being backed up') RETURNING id),
l AS (
  INSERT INTO sales.order_lines (order_id, line, product_id, quantity, unit_price)
  SELECT o.id, i, 1 + ({n} * 7 + i) % 200, i, 9.95 FROM o, generate_series(1, 3) AS i)
INSERT INTO ops.heartbeat (id, order_id) SELECT {n}, id FROM o;
UPDATE catalog.products SET properties = properties || '{{"seen": {n}}}' WHERE id = 1 + ({n} * 37) % 200;
UPDATE sales.orders SET state = 'paid' WHERE id = 1 + ({n} * 7919) % 1000;
DELETE FROM sales.order_lines WHERE order_id = {n} % 1000 AND line = 3;
COMMIT;
\\echo {n}
"""
AUDIT_TRANSACTION = """
INSERT INTO audit.events (at, actor_id, severity, digest, detail)
VALUES (now(), 1 + {n} % 300, 'info', sha256('{n}'), '{{"heartbeat": {n}}}');
\\echo {n}
"""


class Connection:
    """One psql that is fed statements and answers with the numbers of committed transactions."""

    def __init__(self, database: str, template: str):
        command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        start_new_session=True, text=True)
        self.template = template
        self.committed = 0
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.committed = int(line)

    def send(self, number: int):
        self.process.stdin.write(self.template.format(n=number))
        self.process.stdin.flush()

    def finish(self) -> int:
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        code = self.process.wait()
        self.reader.join()
        return code


def write_status(path: str, committed: int, began: float):
    text = json.dumps({"committed": committed, "seconds": round(time.monotonic() - began, 1)})
    with open(path + ".new", "w") as out:
        out.write(text + "\n")
    os.replace(path + ".new", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50, help="transactions a second")
    parser.add_argument("--status", required=True, help="file for the count")
    arguments = parser.parse_args()

    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())

    began = time.monotonic()
    connections = [Connection("shop", SHOP_TRANSACTION), Connection("shop_audit", AUDIT_TRANSACTION)]
    sent, reported, failed = 0, began, False
    try:
        while not stopped.is_set():
            sent += 1
            for connection in connections:
                connection.send(sent)
            if time.monotonic() - reported > 0.5:
                reported = time.monotonic()
                write_status(arguments.status, connections[0].committed, began)
            stopped.wait(max(0, began + sent / arguments.rate - time.monotonic()))
    except BrokenPipeError:
        failed = True
    codes = [connection.finish() for connection in connections]
    write_status(arguments.status, connections[0].committed, began)
    if failed or any(codes):
        sys.exit("writer: a connection was lost")


if __name__ == "__main__":
    main()
