"""An application whose declaration is larger than one step's order may be, and a component that is too large to come back."""

import json
import unittest

from stack import Stack

PARTS = 9
PATTERNS = 100  # of about 100 bytes each: together the parts declare more than 64 KiB


def component(stack, number, patterns=PATTERNS):
    folder = stack.dir / f"data/part-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "file").write_text(f"content of part {number}\n")
    exclude = [f"*.{'x' * 90}-{number}-{i}" for i in range(patterns)]
    return f"  - name: part-{number}\n    disk: {{paths: [{json.dumps(str(folder))}], exclude: {json.dumps(exclude)}}}\n"


def declaration(stack, components):
    """The stack's own, with more components."""
    return stack.declaration().rstrip("\n") + "\n" + "".join(components)


class LargeApplication(unittest.TestCase):
    def test_its_manifest_is_whole_and_a_drill_proves_it(self):
        with Stack() as stack:
            stack.apply(declaration(stack, [component(stack, i) for i in range(PARTS)]))
            run = stack.start_run("backup", "create", "shop")
            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            self.assertEqual(stack.steps(run)["manifest.part-001"]["phase"], "SUCCEEDED")
            backup = stack.backup()
            self.assertEqual(backup["coverage"], "Complete")
            components = {c["name"]: c for c in backup["manifest"]["components"]}
            self.assertEqual(set(components), {"db", "uploads", *(f"part-{i}" for i in range(PARTS))})
            for i in range(PARTS):
                self.assertEqual(len(components[f"part-{i}"]["disk"]["exclude"]), PATTERNS)
            stack.cli("drill", "create", "--backup", backup["name"], "--wait")
            self.assertEqual(stack.backup(backup["name"])["verification"], "Proven")

    def test_a_component_that_could_not_be_restored_is_refused_where_it_is_declared(self):
        with Stack() as stack:
            refused = stack.apply(declaration(stack, [component(stack, 0, patterns=1000)]), check=False)
            self.assertEqual(refused.returncode, 8, refused.stderr)
            self.assertIn("could not be restored", refused.stdout + refused.stderr)
            self.assertIn("exclude", refused.stdout + refused.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
