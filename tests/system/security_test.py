#!/usr/bin/env python3
"""Who may talk to whom: TLS between the programs. (Tokens and listeners: BadInput in bad_days_test.py.)"""

import pathlib
import subprocess
import tempfile
import unittest

from stack import BIN, Stack, free_ports


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_authority(folder, name):
    """A certificate authority: NAME.pem and NAME.key in the folder."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")
    return folder / f"{name}.pem"


def make_certificate(folder, authority, address):
    """A server's certificate for an IP address: server.pem and server.key (0600) in the folder."""
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=salvord",
            "-keyout", folder / "server.key", "-out", folder / "server.csr")
    (folder / "server.ext").write_text(f"subjectAltName=IP:{address}\n")
    openssl("x509", "-req", "-in", folder / "server.csr", "-CA", authority, "-CAkey", authority.with_suffix(".key"), "-CAcreateserial",
            "-days", "2", "-extfile", folder / "server.ext", "-out", folder / "server.pem")
    (folder / "server.key").chmod(0o600)


class Encrypted(unittest.TestCase):
    def stack_with_tls(self):
        stack = Stack()
        stack.authorities = make_authority(stack.dir, "authority")
        make_certificate(stack.dir, stack.authorities, "127.0.0.1")
        stack.server = f"127.0.0.1:{free_ports(1)[0]}"
        stack.tls_server_options = ["--tls-certificate", stack.dir / "server.pem", "--tls-private-key", stack.dir / "server.key"]
        return stack

    def test_agent_and_command_line_work_over_tls(self):
        with self.stack_with_tls() as stack:
            stack.cli("backup", "create", "shop", "--wait")
            self.assertEqual(stack.backup()["coverage"], "Complete")

    def test_who_trusts_another_authority_gets_no_further(self):
        with self.stack_with_tls() as stack:
            stranger = make_authority(stack.dir, "stranger")
            refused = stack.cli("--ca-file", stranger, "agent", "list", check=False)
            self.assertEqual(refused.returncode, 10, refused.stderr)
            self.assertIn("certificate", refused.stderr.lower())

    def test_without_tls_a_server_that_wants_it_is_not_reached(self):
        with self.stack_with_tls() as stack:
            authorities, stack.authorities = stack.authorities, None
            refused = stack.cli("agent", "list", check=False)
            self.assertEqual(refused.returncode, 10, refused.stderr)
            stack.authorities = authorities

    def test_a_private_key_that_others_may_read_is_refused(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            make_certificate(folder, make_authority(folder, "authority"), "127.0.0.1")
            (folder / "server.key").chmod(0o644)
            done = subprocess.run([BIN / "salvord", "--state-directory", folder / "control", "--listen", "127.0.0.1:0",
                                   "--tls-certificate", folder / "server.pem", "--tls-private-key", folder / "server.key"],
                                  capture_output=True, text=True, check=False, timeout=30)
            self.assertEqual(done.returncode, 1)
            self.assertIn(str(folder / "server.key"), done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
