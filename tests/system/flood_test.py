#!/usr/bin/env python3
"""Who has no token and sends much: refused, and salvord stays small and answers everybody else."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest

from raw_call import RawCall
from stack import BIN, wait_for

APPLY = "salvor.v1.ControlService/Apply"
LIMIT = 8 << 20      # of one message (base/io/grpc/limits.h)
CALLERS = 100
ENDLESS = 800 << 20
# Both programs hold nearly 800 MiB when nothing bounds them. 128 MiB are let in, which take more in the allocator's
# hands.
BOUND_MIB = 500
UNAUTHENTICATED, RESOURCE_EXHAUSTED = b"grpc-status\x0216", b"grpc-status\x018"


class Flood(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="salvor-flood-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.socket = self.dir / "salvord.sock"
        self.salvord = subprocess.Popen([BIN / "salvord", "--state-directory", self.dir / "state", "--listen", f"unix://{self.socket}"])
        self.addCleanup(self.salvord.wait, 60)
        self.addCleanup(self.salvord.terminate)
        wait_for("salvord answers", lambda: self.cli().returncode == 0)

    def cli(self):
        environment = {**os.environ, "SALVOR_SERVER": f"unix://{self.socket}", "SALVOR_TOKEN_FILE": str(self.dir / "state/api.token")}
        return subprocess.run([BIN / "salvor", "agent", "list"], env=environment, capture_output=True, text=True, check=False, timeout=60)

    def answer_to(self, size, token=None):
        with RawCall(self.socket, APPLY, token) as call:
            call.say(size, size)
            return call.finish()

    def peak_mib(self):
        for line in pathlib.Path(f"/proc/{self.salvord.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("salvord is gone")

    def test_without_a_token_a_message_of_any_size_is_refused(self):
        self.assertIn(UNAUTHENTICATED, self.answer_to(64))
        self.assertIn(UNAUTHENTICATED, self.answer_to(LIMIT - 1024))
        self.assertIn(UNAUTHENTICATED, self.answer_to(64, token="0" * 64))

    def test_a_message_beyond_the_limit_is_refused_with_a_token_too(self):
        token = (self.dir / "state/api.token").read_text().strip()
        self.assertIn(RESOURCE_EXHAUSTED, self.answer_to(LIMIT + 1))
        self.assertIn(RESOURCE_EXHAUSTED, self.answer_to(LIMIT + 1, token))
        self.assertNotIn(RESOURCE_EXHAUSTED, self.answer_to(LIMIT - 1024, token))

    def test_one_endless_message_is_cut_off(self):
        # gRPC looks at a message's size when it has all of it.
        before = self.peak_mib()
        with RawCall(self.socket, APPLY) as call:
            self.assertFalse(call.say(2 << 30, ENDLESS), "all of it was taken")
            self.assertLess(self.peak_mib() - before, BOUND_MIB)
        self.assertEqual(self.cli().returncode, 0)

    def test_many_that_hold_messages_back_take_no_more_than_the_bound(self):
        before = self.peak_mib()
        with contextlib.ExitStack() as calls:
            self.hold_back(calls)
            grown = self.peak_mib() - before
            self.assertLess(grown, BOUND_MIB)
            done = self.cli()
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.cli().returncode, 0)

    def hold_back(self, calls):
        """Callers that send all of a message but its last byte, or as much as is let in, and stay."""
        def send():
            with contextlib.suppress(OSError):
                call = RawCall(self.socket, APPLY)
                calls.callback(call.socket.close)
                call.socket.settimeout(20)
                call.say(LIMIT - 1024, LIMIT - 1025)

        threads = [threading.Thread(target=send) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    unittest.main(verbosity=2)
