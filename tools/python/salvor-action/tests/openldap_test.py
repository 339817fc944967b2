"""OpenLDAP: what is kept comes back, and every damage is caught by name."""
import re
import subprocess
import unittest

from support import EXAMPLES, Directory, WithFolder

from salvor_action.fake_host import FakeHost, here

SUFFIX = "dc=example,dc=org"


class OpenLdapExample(WithFolder):
    def setUp(self):
        super().setUp()
        self.directory = Directory(self.folder / "ldap")
        self.host = FakeHost(here(EXAMPLES / "openldap.py"), self.folder / "host",
                             {"config": str(self.directory.config), "suffix": SUFFIX})

    def test_everything_comes_back_while_the_server_runs(self):
        with self.directory.running():
            backup = self.host.backup()
        self.assertEqual(backup.expectations["directory: entries"], "52")
        self.assertEqual(self.host.drill(backup), [])

    def test_what_is_not_there_is_said_before_a_backup(self):
        self.host.settings["suffix"] = "dc=other"
        self.assertNotEqual(self.host.run("plan", "backup").code, 0)
        del self.host.settings["suffix"]
        self.assertIn("suffix is missing", self.host.run("plan", "backup").error())

    def tool(self, name, *words, text=None):
        config = self.host.folder / "restore/slapd.d"
        done = subprocess.run([name, "-F", config, *words], input=text, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def changed(self, change, which=("-b", SUFFIX)):
        """What differs once somebody changed the restored copy's LDIF."""
        backup = self.host.backup()
        self.assertEqual(self.host.restore(backup).code, 0)
        restore = self.host.folder / "restore"
        ldif = self.tool("slapcat", *which, "-o", "ldif-wrap=no")
        other = change(ldif)
        self.assertNotEqual(other, ldif)
        for path in ([*(restore / "db0").iterdir()] if which[0] == "-b" else []):
            path.unlink()
        if which[0] == "-n":
            subprocess.run(["rm", "-rf", restore / "slapd.d"], check=True)
            (restore / "slapd.d").mkdir()
        if other:
            self.tool("slapadd", *which, text=other)
        return self.host.verify(backup)

    def test_damage_in_the_copy_is_named(self):
        def entries(ldif):
            return ldif.strip().split("\n\n")

        def renamed(old, new):
            return lambda ldif: ldif.replace(old, new)
        for name, change, named in (
                ("a value", renamed("mail: user7@example.org", "mail: other@example.org"), "directory: content"),
                ("a value is gone", renamed("mail: user7@example.org\n", ""), "directory: content"),
                ("a value more", renamed("mail: user7@example.org\n", "mail: user7@example.org\nmail: b@example.org\n"), "directory: content"),
                ("an entry is gone", lambda ldif: "\n\n".join(entries(ldif)[:-1]) + "\n", "directory: entries"),
                ("the last ten are gone", lambda ldif: "\n\n".join(entries(ldif)[:-10]) + "\n", "directory: entries"),
                ("a creator", renamed("creatorsName: cn=admin", "creatorsName: cn=other"), "directory: content"),
                ("a uuid", lambda ldif: re.sub(r"entryUUID: ........", "entryUUID: 00000000", ldif, count=1), "directory: content"),
                ("a stamp", lambda ldif: re.sub(r"modifyTimestamp: \d{4}", "modifyTimestamp: 1999", ldif, count=1), "directory: content"),
                ("another class", renamed("o: Example\n", "o: Other\n"), "directory: content"),
                ("an entry more", lambda ldif: ldif + "\ndn: ou=more,dc=example,dc=org\nobjectClass: organizationalUnit\nou: more\n",
                 "directory: entries"),
                ("everything is gone", lambda ldif: "", "directory: entries")):
            with self.subTest(name):
                self.doCleanups()
                self.setUp()
                wrong = self.changed(change)
                self.assertTrue(any(line.startswith(named + ":") for line in wrong), wrong)

    def test_damage_in_the_copys_configuration_is_named(self):
        wrong = self.changed(lambda ldif: ldif.replace("olcDbIndex: uid eq\n", ""), ("-n", "0"))
        self.assertTrue(any(line.startswith("config: content:") for line in wrong), wrong)

    def test_damage_in_the_artifacts_is_named(self):
        backup = self.host.backup()
        whole = dict(backup.artifacts)
        data, config = whole["directory.ldif"], whole["config.ldif"]
        for name, broken, where in (
                ("directory.ldif", data[:len(data) // 2], None), ("directory.ldif", b"", None),
                ("directory.ldif", data.replace(b"objectClass: inetOrgPerson", b"objectClass: nothing", 1), "slapadd refuses"),
                ("directory.ldif", data.replace(b"dn: uid=user3,", b"dn: uid=user4,", 1), "slapadd refuses"),
                ("config.ldif", config[:len(config) // 2], None), ("config.ldif", b"nonsense", "slapadd refuses")):
            with self.subTest(name + " " + str(broken[:20])):
                backup.artifacts = {**whole, name: broken}
                done = self.host.restore(backup)
                if where is None and done.code == 0:
                    self.assertTrue(self.host.verify(backup))
                else:
                    self.assertEqual(done.code, 65, done.log)

    def test_a_restore_to_a_target_goes_into_an_empty_database_alone(self):
        backup = self.host.backup()
        self.assertIn("has 52 entries already", self.host.must("plan", "restore").told("conflict")[0]["message"])
        empty = Directory(self.folder / "other", people=0)
        self.host.settings["config"] = str(empty.config)
        self.assertEqual(self.host.must("plan", "restore").told("conflict"), [])
        self.assertEqual(self.host.restore(backup, drill=False).code, 0)
        cannot = "the configuration is the target's own"
        self.assertEqual(self.host.verify(backup, drill=False), [f"config: entries: {cannot}", f"config: content: {cannot}"])


if __name__ == "__main__":
    unittest.main()
