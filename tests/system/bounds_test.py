"""The agent's memory does not grow with what an application holds: a value of nearly a gigabyte, a tree of many files.

The second tier walks them through a backup and a drill with real data. SALVOR_FILES says how many files."""

import os
import unittest

from stack import Stack

AGENT_LIMIT_KIB = 128 * 1024
VALUE_BYTES = 900_000_000  # a row that is sent as text must stay below PostgreSQL's gigabyte
FILES = int(os.environ.get("SALVOR_FILES", "300000"))
FILES_A_FOLDER = 1000
DEADLINE_S = 3000


def peak_memory_kib(process):
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    raise AssertionError("the agent is gone")


class Bounds(unittest.TestCase):
    def back_up_and_prove(self, stack):
        for command in (("backup", "create", "shop"), ("drill", "create", "--backup", "latest:shop")):
            run = stack.start_run(*command)
            self.assertEqual(stack.outcome(run, DEADLINE_S), "SUCCEEDED", stack.run(run).get("reason"))
        backup = stack.backup()
        self.assertEqual(backup["coverage"], "Complete")
        self.assertEqual(backup["verification"], "Proven", backup)
        peak_kib = peak_memory_kib(stack.agent)
        print(f"peak memory of the agent: {peak_kib / 1024:.0f} MiB")
        self.assertLess(peak_kib, AGENT_LIMIT_KIB)
        return backup

    def test_a_value_of_nearly_a_gigabyte(self):
        with Stack() as stack:
            stack.sql("CREATE TABLE wide(id int PRIMARY KEY, value text)", "shop")
            stack.sql("ALTER TABLE wide ALTER value SET STORAGE EXTERNAL", "shop")
            stack.sql(f"INSERT INTO wide SELECT 1, repeat('0123456789', {VALUE_BYTES // 10})", "shop")
            self.back_up_and_prove(stack)

    def test_a_tree_of_many_files(self):
        with Stack() as stack:
            for folder in range(FILES // FILES_A_FOLDER):
                path = stack.uploads / f"folder-{folder:05}"
                path.mkdir()
                for file in range(FILES_A_FOLDER):
                    (path / f"file-{file:04}").write_text(f"{folder}/{file}\n", encoding="ascii")
            backup = self.back_up_and_prove(stack)
            trees = [a for a in backup["manifest"]["artifacts"] if a["component"] == "uploads" and a.get("files")]
            self.assertGreaterEqual(sum(int(a["files"]) for a in trees), FILES)


if __name__ == "__main__":
    unittest.main(verbosity=2)
