"""Salvor's Kubernetes client against the real API server: by the suite that its fake passes, too."""

import os
import subprocess
import unittest
from pathlib import Path

import salvor  # noqa: F401  # it says where the programs are
from volumes import IMAGE

from bed.settings import KUBECONFIG

SECONDS = 300


class Client(unittest.TestCase):
    def test_it_passes_the_suite_of_its_fake(self):
        program = Path(os.environ["SALVOR_BIN"]) / "kubernetes_test"
        if not program.exists():
            self.skipTest(f"there is no {program}: 'tools/dev test' builds it")
        done = subprocess.run([str(program), "--gtest_filter=*/RealApiServer"], text=True, capture_output=True,
                              timeout=SECONDS, env={**os.environ, "SALVOR_TEST_KUBECONFIG": str(KUBECONFIG),
                                                    "SALVOR_TEST_IMAGE": IMAGE})
        self.assertEqual(done.returncode, 0, done.stdout[-4000:] + done.stderr[-2000:])
        self.assertRegex(done.stdout, r"\[  PASSED  \] \d+ tests")
        self.assertNotIn("SKIPPED", done.stdout)


if __name__ == "__main__":
    unittest.main()
