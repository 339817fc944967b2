"""MariaDB with real programs: from apply to a proven backup and a restore, and its bad days.

The stack is the one of all system tests, with a MariaDB in the place of its PostgreSQL.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import unittest

from stack import Stack, processes, wait_for

ACCOUNT = """DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';
INSERT INTO mysql.global_priv VALUES ('localhost', 'root', '{"access":18446744073709551615}');
"""
SHOP = """
CREATE DATABASE shop CHARACTER SET utf8mb4; USE shop;
CREATE USER app@localhost IDENTIFIED BY 'secret'; GRANT SELECT, INSERT ON shop.* TO app@localhost;
CREATE TABLE orders(id INT AUTO_INCREMENT PRIMARY KEY, customer VARCHAR(60) NOT NULL, body BLOB);
INSERT INTO orders(customer, body) SELECT CONCAT('customer ', seq), UNHEX(CONCAT(MD5(seq), MD5(seq + 1), '00FF0A27')) FROM seq_1_to_%d;
CREATE TABLE order_lines(id INT PRIMARY KEY, order_id INT, FOREIGN KEY (order_id) REFERENCES orders(id)); INSERT INTO order_lines VALUES (1, 1);
CREATE VIEW names AS SELECT customer FROM orders;
CREATE DEFINER=app@localhost PROCEDURE touch() UPDATE orders SET body = body;
CREATE TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW SET NEW.customer = TRIM(NEW.customer);
CREATE EVENT wipe ON SCHEDULE EVERY 1 SECOND DISABLE DO DELETE FROM order_lines;
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2035-01-01 03:00:00' DO DELETE FROM order_lines;
"""


class MariadbStack(Stack):
    """Its databases are on a MariaDB; `password` is what its account root has."""

    def __init__(self, rows=2000, password=None, **options):
        super().__init__(rows=rows, **options)
        self.owner = "mysql" if os.geteuid() == 0 else self.owner
        self.password_of_root, self.mariadbd = password, None
        self.root_password = None  # until it is set
        self.agents = []

    def _spawn_agent(self, *arguments, **options):
        agent = super()._spawn_agent(*arguments, **options)
        self.agents.append(agent.pid)
        return agent

    def children(self, *names):
        """MariaDB's programs name nothing of this stack but the file that they read: one of its agents'."""
        ours = tuple(f"--defaults-file=/proc/{pid}/fd/" for pid in self.agents)
        mine = super().children(*names)
        return mine + [pid for pid, argv in processes().items()
                       if pid not in mine and (not names or os.path.basename(argv[0]) in names)
                       and any(word.startswith(prefix) for prefix in ours for word in argv)]

    def _start_postgres(self):
        data = self.dir / "data"
        data.mkdir()
        shutil.chown(data, self.owner)
        (self.dir / "pg").mkdir()
        shutil.chown(self.dir / "pg", self.owner)
        account = self.dir / "account.sql"  # a pipe of ours is not to be read by the server's user
        account.write_text(ACCOUNT)
        subprocess.run(self._as_owner(["mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--tmpdir={data}", "--skip-test-db",
                                       "--auth-root-authentication-method=normal", f"--extra-file={account}"]),
                       check=True, stdout=subprocess.DEVNULL, cwd="/")
        self.start_mariadb()

    def start_mariadb(self):
        self.mariadbd = self._spawn("mariadbd.log", self._as_owner([
            "/usr/sbin/mariadbd", "--no-defaults", f"--datadir={self.dir}/data", f"--tmpdir={self.dir}/data", f"--socket={self.dir}/pg/mariadb.sock",
            "--skip-networking", "--log-bin=binlog", "--server-id=1", "--event-scheduler=ON", "--innodb-flush-log-at-trx-commit=2"]))
        wait_for("MariaDB to answer", lambda: self.client("SELECT 1", check=False).returncode == 0)

    def stop_mariadb(self):
        self.mariadbd.kill()
        self.mariadbd.wait()

    def _pg_ctl(self, *arguments, check=True):
        if "stop" in arguments and self.mariadbd is not None and self.mariadbd.poll() is None:
            self.stop_mariadb()

    def client(self, query, database="", check=True):
        environment = {**os.environ, **({"MYSQL_PWD": self.root_password} if self.root_password else {})}
        done = subprocess.run(["mariadb", "--no-defaults", "-u", "root", "-S", self.dir / "pg/mariadb.sock", "-N", "-B",
                               "--default-character-set=utf8mb4", *([database] if database else [])],
                              input=query, text=True, capture_output=True, check=False, env=environment)
        if check and done.returncode != 0:
            raise AssertionError(f"mariadb: {done.stderr}")
        return done

    def sql(self, query, database=""):
        return self.client(query, database).stdout.strip()

    def _load_data(self):
        self.client(SHOP % self.rows)
        if self.password_of_root:
            self.client(f"ALTER USER root@localhost IDENTIFIED BY '{self.password_of_root}'")
            self.root_password = self.password_of_root

    def declaration(self, **replace):
        values = {"more": "", **replace}
        return f"""
apiVersion: salvor.dev/v1
kind: Location
metadata: {{name: vault}}
spec: {{restic: {{repository: "{self.repository}", passwordFile: "{self.password}"}}}}
---
apiVersion: salvor.dev/v1
kind: Environment
metadata: {{name: local}}
spec: {{runtime: Host, location: vault}}
---
apiVersion: salvor.dev/v1
kind: Application
metadata: {{name: shop}}
spec:
  environment: local
  components:
  - name: db
    mariadb:
      connection: {{socket: "{self.dir}/pg/mariadb.sock", user: root{values["more"]}}}
      databases: [shop]
      lockHold: 20s
    checks:
    - {{name: has-orders, sql: {{database: shop, query: SELECT COUNT(*) > 0 FROM orders, expect: "1"}}}}
    - {{name: can-order, write: {{database: shop, statements: ["INSERT INTO orders(customer) VALUES ('x')"]}}}}
"""

    def dumps(self):
        return [s for s in self.snapshots() if "artifact=db.dump" in (s.get("tags") or [])]


def freeze_in_mid_dump(stack, run):
    """mariadb-dump of this run, stopped once bytes have reached the repository's side."""
    def flowing():
        progress = stack.steps(run)["db.dump"].get("progress", {})
        return int(progress.get("bytes_done", progress.get("bytesDone", 0))) > 1 << 20
    wait_for("bytes to flow", flowing)
    pids = stack.children("mariadb-dump")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    assert pids, "the dump was over before it could be stopped: use more rows"
    return pids


def go_on(frozen):
    """Those that have not been ended meanwhile."""
    for pid in frozen:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


LARGE = 1_500_000


class MainJob(unittest.TestCase):
    def test_a_backup_under_writes_is_proven_and_restored(self):
        with MariadbStack(rows=20_000) as stack:
            enough = threading.Event()

            def write():
                while not enough.is_set():
                    stack.client("INSERT INTO orders(customer) VALUES ('meanwhile')", "shop")
            writer = threading.Thread(target=write)
            writer.start()
            try:
                stack.cli("backup", "create", "shop", "--wait")
            finally:
                enough.set()
                writer.join()
            stack.cli("drill", "create", "--backup", "latest:shop", "--wait")
            self.assertEqual(stack.backup()["verification"], "Proven")

            refused = stack.cli("restore", "create", "--backup", "latest:shop", "--to", "shop", "--wait", check=False)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("database shop exists on the target", refused.stdout + refused.stderr)
            stack.sql("DROP DATABASE shop; DROP USER app@localhost")
            stack.cli("restore", "create", "--backup", "latest:shop", "--to", "shop", "--wait")
            self.assertGreaterEqual(int(stack.sql("SELECT COUNT(*) FROM orders", "shop")), 20_000)
            self.assertEqual(stack.sql("SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS ORDER BY 1"),
                             "nightly\tENABLED\nwipe\tDISABLED")
            self.assertIn("SELECT, INSERT", stack.sql("SHOW GRANTS FOR app@localhost"))

    def test_break_glass_restores_with_stock_tools(self):
        with MariadbStack() as stack:
            stack.cli("backup", "create", "shop", "--wait")
            before = stack.sql("CHECKSUM TABLE shop.orders, shop.order_lines")
            dump = stack.restic("dump", stack.dumps()[0]["id"], "/db.dump.sql").stdout
            stack.sql("DROP DATABASE shop")
            stack.client(dump)
            self.assertEqual(stack.sql("CHECKSUM TABLE shop.orders, shop.order_lines"), before)


class BadDays(unittest.TestCase):
    def test_an_agent_that_is_killed_at_every_step_boundary(self):
        with MariadbStack() as stack:
            first = stack.start_run("backup", "create", "shop")
            self.assertEqual(stack.outcome(first), "SUCCEEDED")
            for step in stack.steps(first):
                with self.subTest(boundary=step):
                    run = stack.start_run("backup", "create", "shop")
                    stack.wait_for_step(run, step, "SUCCEEDED", "RUNNING")
                    stack.kill_agent()
                    stack.start_agent()
                    self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
                    self.assertEqual(stack.backup()["coverage"], "Complete")
            stack.cli("drill", "create", "--backup", "latest:shop", "--wait")

    def test_a_drill_whose_agent_is_killed_leaves_nothing(self):
        with MariadbStack() as stack:
            stack.cli("backup", "create", "shop", "--wait")
            run = stack.start_run("drill", "create", "--backup", "latest:shop")
            stack.wait_for_step(run, "db.restore", "SUCCEEDED", "RUNNING")
            stack.kill_agent()
            stack.start_agent()
            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            self.assertEqual(stack.backup()["verification"], "Proven")
            self.assertEqual(list((stack.dir / "agent" / "scratch").iterdir()), [])

    def test_an_agent_that_is_killed_in_mid_dump(self):
        with MariadbStack(rows=LARGE) as stack:
            run = stack.start_run("backup", "create", "shop")
            frozen = freeze_in_mid_dump(stack, run)
            stack.kill_agent()
            go_on(frozen)
            wait_for("its children to end", lambda: not stack.children("mariadb-dump", "restic", "salvor-supervise"))
            self.assertEqual(stack.dumps(), [], "restic must not have committed half a dump")
            stack.start_agent()
            self.assertEqual(stack.outcome(run), "SUCCEEDED")
            stack.cli("drill", "create", "--backup", "latest:shop", "--wait")

    def test_a_dump_that_is_killed_is_made_again(self):
        with MariadbStack(rows=LARGE) as stack:
            run = stack.start_run("backup", "create", "shop")
            for pid in freeze_in_mid_dump(stack, run):
                os.kill(pid, signal.SIGKILL)
            self.assertEqual(stack.outcome(run), "SUCCEEDED")
            self.assertEqual(len(stack.dumps()), 1)
            self.assertGreaterEqual(stack.steps(run)["db.dump"]["attempt"], 2)

    def test_a_server_that_stops_in_mid_dump(self):
        with MariadbStack(rows=LARGE) as stack:
            run = stack.start_run("backup", "create", "shop")
            frozen = freeze_in_mid_dump(stack, run)
            stack.stop_mariadb()
            go_on(frozen)
            wait_for("the attempt to fail", lambda: stack.steps(run)["db.dump"]["attempt"] >= 2
                     or stack.steps(run)["db.dump"]["phase"] == "FAILED")
            self.assertEqual(stack.dumps(), [])
            stack.start_mariadb()
            self.assertEqual(stack.outcome(run), "SUCCEEDED")
            self.assertEqual(len(stack.dumps()), 1)

    def test_a_wrong_password_is_said_and_nothing_is_kept(self):
        with MariadbStack(password="right") as stack:
            secret = stack.dir / "root.password"
            secret.write_text("wrong-secret\n")
            secret.chmod(0o600)
            stack.apply(stack.declaration(more=f', passwordFile: "{secret}"'))
            done = stack.cli("backup", "create", "shop", "--wait", check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("Access denied", done.stdout + done.stderr)
            self.assertNotIn("wrong-secret", done.stdout + done.stderr + (stack.dir / "agent.log").read_text())
            self.assertEqual(stack.dumps(), [])
            secret.write_text("right\n")
            stack.cli("backup", "create", "shop", "--wait")

    @unittest.skipUnless(os.geteuid() == 0, "mounts a small disk")
    def test_a_full_disk_leaves_nothing(self):
        with MariadbStack(rows=200_000, repository=False) as stack:
            stack.repository.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", stack.repository], check=True)
            try:
                done = stack.cli("backup", "create", "shop", "--wait", check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("space", done.stdout + done.stderr)
            finally:
                subprocess.run(["umount", "-l", stack.repository], check=True)


if __name__ == "__main__":
    unittest.main()
