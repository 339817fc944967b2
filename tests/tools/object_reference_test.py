"""tools/tidy/object_reference.py: the page is up to date, and a field that nobody explained is named."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, "tools/tidy/object_reference.py")
PROTO = "proto/salvor/v1/object.proto"
PAGE = "docs/reference/objects.md"


def run(root, *arguments):
    done = subprocess.run([sys.executable, TOOL, root, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


class ObjectReferenceTest(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        os.makedirs(os.path.join(self.root, os.path.dirname(PROTO)))
        shutil.copy(os.path.join(ROOT, PROTO), os.path.join(self.root, PROTO))

    def edit(self, before, after):
        path = os.path.join(self.root, PROTO)
        with open(path, encoding="utf-8") as there:
            text = there.read()
        self.assertIn(before, text)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text.replace(before, after, 1))

    def page(self):
        with open(os.path.join(self.root, PAGE), encoding="utf-8") as there:
            return there.read()

    def test_the_page_is_what_the_comments_say(self):
        self.assertEqual(run(ROOT, "--check"), (0, ""))

    def test_a_changed_comment_makes_it_stale_until_it_is_written_again(self):
        self.assertEqual(run(self.root), (0, ""))
        self.assertEqual(run(self.root, "--check"), (0, ""))
        self.edit("restic's --exclude patterns", "patterns of what is left out")
        code, output = run(self.root, "--check")
        self.assertEqual(code, 1)
        self.assertIn("run tools/dev format", output)
        self.assertEqual(run(self.root), (0, ""))
        self.assertIn("| `exclude` | list of text | patterns of what is left out |", self.page())

    def test_a_field_without_a_comment_is_named(self):
        self.edit("message DiskComponent {", "message DiskComponent {\n  int32 parallel_readers = 99;\n")
        code, output = run(self.root)
        self.assertEqual(code, 1)
        self.assertIn(".salvor.v1.DiskComponent.parallel_readers", output)

    def test_names_are_those_of_the_yaml(self):
        self.assertEqual(run(self.root), (0, ""))
        for words in ("`socketDirectory`", "one of `Stream`, `Volume`", "written to `dumpDirectory`", "`Exact` when unspecified"):
            self.assertIn(words, self.page())


if __name__ == "__main__":
    unittest.main()
