"""Redis: what is kept comes back, and every damage is caught by name."""
import unittest

from support import EXAMPLES, RedisServer, WithFolder, wait_for

from salvor_action.fake_host import FakeHost, here


class RedisExample(WithFolder):
    def host(self, server, **settings):
        return FakeHost(here(EXAMPLES / "redis.py"), self.folder / "host", {"socket": str(server.socket), **settings},
                        {"password": server.password} if server.password else {})

    def backed_up(self, password="", soon=False):
        server = RedisServer(self.folder / "server", password)
        server.__enter__()
        self.addCleanup(server.__exit__)
        server.fill()
        if soon:
            server.ask("SET", "gone", "soon", "PX", "3000")
        host = self.host(server)
        return server, host, host.backup()

    def test_everything_comes_back(self):
        server, host, backup = self.backed_up(soon=True)
        self.assertIn("dataset", backup.expectations)
        self.assertEqual(backup.expectations["db3 keys"], "1")
        wait_for("a key to expire", lambda: server.ask("EXISTS", "gone") == "0")
        self.assertEqual(host.drill(backup), [], "also of the key that has expired")

    def test_a_password_is_for_the_server_and_in_no_command_line(self):
        _, host, backup = self.backed_up("correct horse")
        self.assertEqual(host.drill(backup), [])
        host.secrets = {"password": "wrong"}
        self.assertEqual(host.run("plan", "backup").code, 75)

    def test_a_server_that_is_gone_is_a_temporary_failure(self):
        server, host, _ = self.backed_up()
        server.process.kill()
        server.process.wait()
        done = host.run("plan", "backup")
        self.assertEqual(done.code, 75)
        self.assertIn("does not answer", done.error())

    def damaged_copy(self, *words):
        """What differs once somebody changed the restored copy."""
        _, host, backup = self.backed_up()
        self.assertEqual(host.restore(backup).code, 0)
        copy = RedisServer(self.folder / "copy")
        (copy.folder / "dump.rdb").write_bytes((host.folder / "restore/dump.rdb").read_bytes())
        with copy:
            for command in words:
                copy.ask(*command)
            self.assertEqual(copy.ask("SAVE"), "OK")
        (host.folder / "restore/dump.rdb").write_bytes((copy.folder / "dump.rdb").read_bytes())
        return host.verify(backup)

    def test_a_copy_that_was_only_saved_again_is_none(self):
        self.assertEqual(self.damaged_copy(), [])

    def test_damage_in_the_copy_is_named(self):
        for words, named in (
                (("SET", "key:1", "other"), "dataset"), (("DEL", "key:2"), "db0 keys"), (("SET", "more", "1"), "db0 keys"),
                (("RPOP", "list"), "dataset"), (("SREM", "set", "x"), "dataset"), (("HSET", "hash", "f", "9"), "dataset"),
                (("ZADD", "scores", "5", "one"), "dataset"), (("XADD", "stream", "2-1", "k", "w"), "dataset"),
                (("PERSIST", "later"), "db0 keys that expire"), (("EXPIRE", "key:4", "100000"), "db0 keys that expire"),
                (("SWAPDB", "0", "3"), "db3 keys"), (("FUNCTION", "DELETE", "lib"), "functions"), (("FLUSHALL",), "dataset")):
            with self.subTest(" ".join(words)):
                self.doCleanups()
                self.setUp()
                wrong = self.damaged_copy(words)
                self.assertTrue(any(line.startswith(named + ":") for line in wrong), wrong)

    def test_damage_in_the_artifact_is_found_by_the_program_too(self):
        _, host, backup = self.backed_up()
        data = backup.artifacts["dump.rdb"]
        middle = len(data) // 2
        for name, broken in (("cut", data[:middle]), ("empty", b""), ("flipped", data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:]),
                             ("no end", data[:-9]), ("another file", b"PK" + data[2:])):
            with self.subTest(name):
                backup.artifacts["dump.rdb"] = broken
                done = host.restore(backup)
                self.assertEqual(done.code, 65, done.log)

    def test_a_restore_to_a_server_goes_into_its_empty_folder_alone(self):
        server, host, backup = self.backed_up()
        target = self.folder / "target"
        target.mkdir()
        host.settings = {"directory": str(target)}
        self.assertEqual(host.must("plan", "restore").told("conflict"), [])
        self.assertEqual(host.restore(backup, drill=False).code, 0)
        self.assertEqual(host.verify(backup, drill=False), [])
        self.assertIn("is there already", host.must("plan", "restore").told("conflict")[0]["message"])
        host.settings["socket"] = str(server.socket)
        self.assertIn("the server runs", host.must("plan", "restore").told("conflict")[1]["message"])


if __name__ == "__main__":
    unittest.main()
