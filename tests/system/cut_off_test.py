#!/usr/bin/env python3
"""Agents that cannot be reached for longer than a lease (30 s), or never again."""

import socket
import threading
import unittest

from stack import Stack, free_ports, wait_for

LARGE = 1_500_000  # rows: long enough to be caught in mid-dump


class Cable:
    """Joins a loopback port to another until it is cut: what was connected passes nothing ever again, and nobody is
    told. Once mended, new connections pass."""

    def __init__(self, port, to_port):
        self.to_port, self.whole = to_port, threading.Event()
        self.whole.set()
        self.cuts, self.joined = 0, []
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                self.whole.wait()
                far = socket.create_connection(("127.0.0.1", self.to_port))
            except OSError:
                return
            self.joined += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, target, self.cuts), daemon=True).start()

    def _pass(self, source, target, cuts):
        try:
            while data := source.recv(1 << 16):
                if cuts == self.cuts:
                    target.sendall(data)
        except OSError:
            pass
        if cuts == self.cuts:
            target.close()

    def cut(self):
        self.cuts += 1
        self.whole.clear()

    def mend(self):
        self.whole.set()

    def close(self):
        for end in (self.listener, *self.joined):
            end.close()


class CutOff(unittest.TestCase):
    def test_longer_than_a_lease_and_back_with_a_result(self):
        stack = Stack(rows=LARGE)
        control, cable_port = free_ports(2)
        stack.server = f"127.0.0.1:{control}"
        with stack:
            stack.agent.terminate()
            stack.agent.wait()
            cable = Cable(cable_port, control)
            self.addCleanup(cable.close)
            stack.start_agent(server=f"127.0.0.1:{cable_port}")

            run = stack.start_run("backup", "create", "shop")
            stack.wait_for_step(run, "db.dump.shop", "RUNNING")
            cable.cut()
            wait_for("the lease to run out", lambda: stack.steps(run)["db.dump.shop"]["phase"] != "RUNNING"
                     or '"connected": true' not in stack.cli("agent", "list", "-o", "json").stdout)
            wait_for("the dump to end unheard", lambda: not stack.children("pg_dump"))
            cable.mend()

            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            self.assertEqual(stack.steps(run)["db.dump.shop"]["attempt"], 1, "its result was welcome: nothing ran twice")
            self.assertEqual(stack.backup()["coverage"], "Complete")
            stack.cli("drill", "create", "--backup", "latest:shop", "--wait")

    def test_what_a_host_began_waits_for_it_although_another_agent_is_there(self):
        with Stack(rows=LARGE) as stack:
            run = stack.start_run("backup", "create", "shop")
            stack.wait_for_step(run, "db.dump.shop", "RUNNING")
            stack.kill_agent()
            stack.start_second_agent()
            wait_for("the run to say for whom it waits",
                     lambda: "agent host-a is not connected; its result is awaited" in stack.cli("run", "show", run).stdout)
            stack.start_agent()
            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            self.assertEqual({step["agent"] for step in stack.steps(run).values()}, {"host-a"})
            self.assertEqual(len(stack.dumps_kept()), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
