"""tools/tidy/check_engine_names.py: this tree passes, and each way of naming an engine in a general part is found."""
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools/tidy"))
import check_engine_names  # noqa: E402


class CheckEngineNamesTest(unittest.TestCase):
    def check(self, files, allowed=None):
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w") as out:
                    out.write(text)
            return check_engine_names.check(root, allowed or {})

    def test_this_tree_names_no_engine_but_where_it_is_known(self):
        result = subprocess.run([sys.executable, os.path.join(ROOT, "tools/tidy/check_engine_names.py"), ROOT],
                                stdout=subprocess.PIPE, text=True)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_each_way_of_naming_one_is_found(self):
        for line in ('if (component.has_postgres()) return;', 'case v1::Action::kDiskBackup:', 'action.mutable_disk_restore();',
                     'if (action.has_disk_target_check()) {}', '#include "agent/engines/postgres/scratch_server.h"',
                     'const char* kTool = "pg_dump";', 'KIND_TREE_DETAILS', 'component.disk().paths()', 'MariadbDump dump;'):
            problems = self.check({"strategies/compose/compile.cc": "int before;\n" + line + "\n"})
            self.assertEqual(len(problems), 1, line)
            self.assertIn("strategies/compose/compile.cc:2: names an engine", problems[0])

    def test_comments_tests_engines_and_full_disks_are_free(self):
        self.assertEqual(self.check({
            "agent/work/action.h": "// \"postgres_dump\", for example\nbool disk_is_full;  // not a DiskComponent\n",
            "agent/work/action_test.cc": "PostgresDump dump;\n",
            "tools/cli/testing/samples.cc": "PostgresDump dump;\n",
            "agent/engines/postgres/dump.cc": "PostgresDump dump;\n",
            "strategies/disk/disk_strategy.cc": "DiskComponent disk;\n",
        }), [])

    def test_what_is_known_may_stay_and_only_shrinks(self):
        two = {"base/a.cc": "postgres();\npostgres();\n"}
        self.assertEqual(self.check(two, {"base/a.cc": (2, "why")}), [])
        self.assertEqual(len(self.check(two, {"base/a.cc": (1, "why")})), 2)
        self.assertIn("allow fewer", self.check(two, {"base/a.cc": (3, "why")})[0])
        self.assertIn("allow fewer", self.check({}, {"base/gone.cc": (1, "why")})[0])

    def test_the_toy_is_in_one_folder(self):
        listed = subprocess.run(["git", "-C", ROOT, "grep", "-lE", r"toybox(\.|::)|toy\.pb\.h|salvor::toy", "--", ".", ":!tests/toy_strategy", ":!tests/tools"],
                                stdout=subprocess.PIPE, text=True)
        self.assertEqual((listed.returncode, listed.stdout), (1, ""), "what a strategy needs elsewhere is one line in each registry, here its test's")

    def test_everything_allowed_has_a_reason(self):
        for path, (lines, why) in check_engine_names.ALLOWED.items():
            self.assertGreater(lines, 0, path)
            self.assertTrue(why, path)


if __name__ == "__main__":
    unittest.main()
