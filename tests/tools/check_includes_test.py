"""tools/tidy/check_includes.py on small trees: a clean one passes, and each kind of violation is named."""
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHECK = os.path.join(ROOT, "tools/tidy/check_includes.py")

CLEAN = {
    "base/CMakeLists.txt": "salvor_library(salvor_base FLOOR 0\n  SOURCES text.cc)\n",
    "base/text.h": "#pragma once\n#include <string>\n",
    "base/text.cc": '#include "base/text.h"\n// A comment may speak of absl::Now() and <thread>.\nconst char* kText = "getenv(HOME)";\n',
    "base/text_test.cc": '#include <fstream>\n#include "base/text.h"\n',
    "base/io/CMakeLists.txt": "salvor_library(salvor_io FLOOR 40 SOURCES files.cc)\n",
    "base/io/files.h": "#include <mutex>\n",
    "base/io/files.cc": '#include "base/io/files.h"\n#include <thread>\nlong at = Clock::now();\n',
    "flows/run/CMakeLists.txt": "salvor_library(salvor_run FLOOR 14 SOURCES reducer.cc)\n",
    "flows/run/reducer.h": '#include "base/text.h"\n',
    "flows/run/reducer.cc": '#include "flows/run/reducer.h"\n',
    "agent/CMakeLists.txt": "salvor_library(salvor_agent FLOOR 50 SOURCES puller.cc)\n",
    "agent/puller.h": '#include "base/io/files.h"\n',
    "agent/puller.cc": '#include "agent/puller.h"\n',
    "controlplane/CMakeLists.txt": "salvor_library(salvor_store FLOOR 50 SOURCES store.cc)\n",
    "controlplane/store.h": "#include <map>\n",
    "controlplane/store.cc": '#include "controlplane/store.h"\n',
    "tests/whole_test.cc": '#include "agent/puller.h"\n#include "controlplane/store.h"\n',
}


class CheckIncludesTest(unittest.TestCase):
    def check(self, changes):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**CLEAN, **changes}.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w") as out:
                    out.write(text)
            result = subprocess.run([sys.executable, CHECK, root], stdout=subprocess.PIPE, text=True)
            return result.returncode, result.stdout

    def assert_found(self, path, text, *expected):
        code, output = self.check({path: CLEAN.get(path, "") + text})
        self.assertEqual(code, 1, output)
        for words in (path, *expected):
            self.assertIn(words, output)
        self.assertEqual(len(output.splitlines()), 1, output)

    def test_a_clean_tree_passes(self):
        code, output = self.check({})
        self.assertEqual(code, 0, output)

    def test_the_real_tree_passes(self):
        result = subprocess.run([sys.executable, CHECK, ROOT], stdout=subprocess.PIPE, text=True)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_a_thread_below_the_line_is_found(self):
        self.assert_found("flows/run/reducer.h", "#include <thread>\n", "includes thread")

    def test_the_log_below_the_line_is_found(self):
        self.assert_found("base/text.h", '#include "base/io/log.h"\n', "below the line")

    def test_a_service_message_below_the_line_is_found(self):
        self.assert_found("flows/run/reducer.h", '#include "salvor/v1/agent_service.pb.h"\n', "below the line")

    def test_the_clock_below_the_line_is_found(self):
        self.assert_found("flows/run/reducer.cc", "auto t = absl::Now();\n", "::Now(")

    def test_a_deadline_of_the_agent_by_the_clock_that_somebody_sets_is_found(self):
        self.assert_found("agent/puller.cc", "auto until = absl::Now() + absl::Seconds(3);\n", "SteadyNow()")

    def test_so_is_one_of_the_control_plane_and_one_of_the_standard_library(self):
        self.assert_found("controlplane/store.cc", "auto until = std::chrono::system_clock::now();\n", "SteadyNow()")

    def test_a_time_that_is_stored_may_be_asked_for_in_its_place_only(self):
        stored = "  state.created_at = absl::Now();\n"
        self.assertEqual(self.check({"agent/scratch/scratch_places.cc": stored})[0], 0)
        self.assert_found("agent/puller.cc", stored, "SteadyNow()")
        code, output = self.check({"agent/scratch/scratch_places.cc": stored + "auto until = absl::Now();\n"})
        self.assertEqual(code, 1, output)
        self.assertIn("agent/scratch/scratch_places.cc:2:", output)

    def test_a_test_may_ask_for_the_time(self):
        self.assertEqual(self.check({"agent/puller_test.cc": "auto now = absl::Now();\n"})[0], 0)

    def test_the_environment_below_the_line_is_found(self):
        self.assert_found("base/text.cc", 'auto h = std::getenv("HOME");\n', "getenv(")

    def test_the_agent_may_not_include_the_control_plane(self):
        self.assert_found("agent/puller.h", '#include "controlplane/store.h"\n', "never include each other")

    def test_the_control_plane_may_not_include_the_agent(self):
        self.assert_found("controlplane/store.cc", '#include "agent/puller.h"\n', "never include each other")

    def test_a_test_of_the_agent_may_not_either(self):
        self.assert_found("agent/puller_test.cc", '#include "controlplane/store.h"\n', "never include each other")

    def test_an_include_from_a_higher_floor_is_found(self):
        self.assert_found("base/io/files.h", '#include "agent/puller.h"\n', "floor 50 from floor 40")

    def test_a_header_without_a_target_stands_as_high_as_what_it_includes(self):
        high = {"base/io/CMakeLists.txt": CLEAN["base/io/CMakeLists.txt"] +
                "salvor_library(salvor_grpc FLOOR 45 SOURCES server.cc)\n",
                "base/io/server.h": "", "base/io/between.h": '#include "base/io/server.h"\n'}
        self.assertEqual(self.check(high)[0], 0)
        code, output = self.check({**high, "base/io/files.h": '#include "base/io/between.h"\n'})
        self.assertEqual(code, 1, output)
        self.assertIn("floor 45 from floor 40", output)

    def test_a_file_that_is_too_long_is_found(self):
        self.assert_found("agent/puller.cc", "int x;\n" * 601, "more than 600")


if __name__ == "__main__":
    unittest.main()
