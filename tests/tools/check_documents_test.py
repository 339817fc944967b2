"""tools/tidy/check_documents.py: the real documents pass, and each kind of broken promise is named."""
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHECK = os.path.join(ROOT, "tools/tidy/check_documents.py")
README = """# A title

Licence: [Apache 2.0](LICENSE). See [there](docs/a.md#the-second-part).

```
tools/dev test -R name     # a command
salvor run show NAME       # another
```
"""


class CheckDocumentsTest(unittest.TestCase):
    def check(self, readme=README, licence="Apache License\n", salvor=None):
        with tempfile.TemporaryDirectory() as root:
            files = {"README.md": readme, "LICENSE": licence, "docs/a.md": "# A\n\n## The second part\n"}
            with open(os.path.join(ROOT, "tools/dev")) as text:
                files["tools/dev"] = text.read()
            if salvor is not None:
                files["salvor"] = salvor
            for path, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w") as out:
                    out.write(text)
            command = [sys.executable, CHECK, root]
            if salvor is not None:
                os.chmod(os.path.join(root, "salvor"), 0o755)
                command += ["--salvor", os.path.join(root, "salvor")]
            result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            return result.returncode, result.stdout

    def assert_found(self, words, **arguments):
        code, output = self.check(**arguments)
        self.assertEqual(code, 1, output)
        self.assertIn(words, output)

    def test_sound_documents_pass(self):
        code, output = self.check()
        self.assertEqual(code, 0, output)

    def test_the_real_documents_pass(self):
        command = [sys.executable, CHECK, ROOT]
        if os.environ.get("SALVOR_PROGRAM"):
            command += ["--salvor", os.environ["SALVOR_PROGRAM"]]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_a_link_to_nowhere_is_found(self):
        self.assert_found("docs/gone.md", readme=README + "[x](docs/gone.md)\n")

    def test_a_link_to_a_missing_heading_is_found(self):
        self.assert_found("no such heading", readme=README + "[x](docs/a.md#third)\n")

    def test_a_command_of_tools_dev_that_is_not_there_is_found(self):
        self.assert_found("no command conquer", readme=README + "Run `tools/dev conquer` first.\n")

    def test_a_command_of_salvor_that_is_not_there_is_found(self):
        program = '#!/bin/sh\n[ "$1 $2" = "run show" ]\n'
        code, output = self.check(salvor=program)
        self.assertEqual(code, 0, output)
        self.assert_found("'salvor run dance'", readme=README + "`salvor run dance NAME`\n", salvor=program)

    def test_a_command_line_that_salvor_does_not_understand_is_found(self):
        program = '#!/bin/sh\ncase "$*" in *--bogus*) echo "there is no flag"; exit 2;; esac\n[ "$1 $2" = "run show" ]\n'
        code, output = self.check(salvor=program)
        self.assertEqual(code, 0, output)
        self.assert_found("--bogus', which is not understood: there is no flag",
                          readme=README + "```\nsalvor run show NAME \\\n    --bogus   # a comment\n```\n", salvor=program)
        self.assert_found("--bogus', which is not understood",
                          readme=README + "```\nsalvor run show NAME --bogus | less\n```\n", salvor=program)
        code, output = self.check(readme=README + "Prose may show a part of one: `salvor run show --bogus`.\n", salvor=program)
        self.assertEqual(code, 0, output)

    def test_what_the_shell_does_with_the_output_is_none_of_salvors_words(self):
        program = '#!/bin/sh\ncase "$*" in *">"*|*kept*|*"|"*|*next*) echo "one word too many"; exit 2;; esac\n'
        for rest in (">kept.yaml", "> kept.yaml", "| grep kept", "&& next", "'a name' | kept"):
            code, output = self.check(readme=README + f"```\nsalvor run show NAME {rest}\n```\n", salvor=program)
            self.assertEqual(code, 0, output)

    def test_another_licence_is_found(self):
        self.assert_found("LICENSE", licence="Do what you like\n")


if __name__ == "__main__":
    unittest.main()
