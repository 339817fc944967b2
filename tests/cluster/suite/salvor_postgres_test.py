"""A PostgreSQL on the cluster is dumped by movers: under writes, whoever dies meanwhile; it comes back elsewhere."""

import base64
import json
import os
import re
import signal
import subprocess
import unittest
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from deployed import SALVOR, DeployedSalvor
from support import (BACKUP_SECONDS, GONE_SECONDS, OBJECTS, READY_SECONDS, Json, apply, find, get, kubectl,
                     pods_of, succeeds, volume_info, wait_for, wait_until_ready)

from bed import binaries, settings

ROWS = 20_000
FILL = f"""create table orders as select id, md5(random()::text) as note from generate_series(1, {ROWS}) as id;
alter table orders add primary key (id);
create table noise (id bigserial primary key, at timestamptz default now())"""
SUM = "select count(*), md5(string_agg(id || note, ',' order by id)) from orders"
WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
HELD = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted and relation = 'orders'::regclass"
LOGIN = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db-login"},
         "stringData": {"username": "postgres", "password": "of-a-test", "other": "nobody-asked-for"}}
MOVER = "system:serviceaccount:salvor:salvor-mover"
DATABASE = """
  - name: db
    postgres:
      connection: {service: db, secret: {name: db-login, userKey: username}}
      databases: [shop]
      claims: [data-db-0]
"""


def application(name: str, space: str, components: str) -> str:
    return f"""apiVersion: salvor.dev/v1
kind: Application
metadata: {{name: {name}}}
spec:
  environment: production
  namespace: {space}
  components:{components}"""


def psql(space: str, database: str, text: str) -> list[str]:
    return ["-n", space, "exec", "db-0", "-c", "postgres", "--", "psql", "-X", "-U", "postgres", "-d", database, "-v",
            "ON_ERROR_STOP=1", "-tAc", text]


def query(space: str, text: str, database: str = "shop") -> str:
    return kubectl(*psql(space, database, text)).strip()


@contextmanager
def beside(space: str, text: str) -> Iterator[None]:
    """A session that goes on until the end of the block, in this process's own child."""
    words = psql(space, "dbname=shop application_name=beside", text)
    child = subprocess.Popen([str(binaries.program("kubectl")), *words],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env={**os.environ, "KUBECONFIG": str(settings.KUBECONFIG)})
    try:
        yield
    finally:
        child.kill()
        child.wait()
        query(space, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'beside'")


class Postgres(DeployedSalvor):
    def start_database(self, space: str) -> None:
        apply(space, OBJECTS / "postgres.yaml", LOGIN)
        wait_until_ready(space, "statefulset/db")

    def let_movers_read(self, space: str) -> None:
        """The word of the namespace's owner, as docs/kubernetes.md has it."""
        kubectl("-n", space, "create", "role", "salvor-mover", "--verb=get", "--resource=secrets",
                "--resource-name=db-login")
        kubectl("-n", space, "create", "rolebinding", "salvor-mover", "--role=salvor-mover",
                "--serviceaccount=salvor:salvor-mover")

    def declare_text(self, text: str) -> None:
        path = self.folder / "objects.yaml"
        path.write_text(text)
        self.cli("apply", "-f", str(path))

    def put_there(self) -> None:
        self.put_beside_velero()
        self.opt_in()
        self.start_database(self.space)
        query(self.space, "create database shop", "postgres")
        for statement in FILL.split(";"):
            query(self.space, statement)
        self.declare_text(application("shop", self.space, "\n  - {name: uploads, disk: {claims: [uploads], method: "
                                      "FileSystem}}" + DATABASE))
        self.declare_text(application("orders", self.space, DATABASE))

    def show(self, *words: str) -> Json:
        return json.loads(self.cli(*words, "-o", "json").stdout)

    def start_backup_of(self, name: str) -> str:
        done = self.cli("backup", "create", name)
        return re.search(r"\bbackup-[a-z0-9-]+-\d{8}-\d{6}-[0-9a-f]{4}\b", done.stdout + done.stderr)[0]

    def step(self, run: str, name: str) -> Json:
        [step] = [each for each in self.show("run", "show", run)["steps"] if each["id"] == name]
        return step

    def outcome(self, run: str) -> str:
        def over() -> str:
            phase = self.show("run", "show", run)["phase"].upper()
            return phase if phase in ("SUCCEEDED", "FAILED", "CANCELLED") else ""
        return wait_for(f"run {run} to end", over, BACKUP_SECONDS,
                        lambda: (self.cli("run", "show", run, check=False).stdout, pods_of(SALVOR)))

    def movers(self) -> list[Json]:
        return [each for each in find(SALVOR, "jobs", "app.kubernetes.io/name=salvor-mover")
                if "deletionTimestamp" not in each["metadata"]]

    def no_mover_stays(self) -> None:
        wait_for("the movers to be gone", lambda: not find(SALVOR, "jobs") and not find(
            SALVOR, "pods", "app.kubernetes.io/name=salvor-mover"), GONE_SECONDS, lambda: pods_of(SALVOR))

    def wait_for_lock(self) -> None:
        wait_for("the lock to be held", lambda: query(self.space, HELD) != "0", READY_SECONDS,
                 lambda: query(self.space, "select application_name, state from pg_stat_activity"))

    def wait_for_dump_behind_lock(self) -> Json:
        """pg_dump waits for the lock of whoever is `beside`: so the dump is certainly under way."""
        wait_for("the dump to wait for a lock", lambda: query(self.space, WAITING) != "0", READY_SECONDS,
                 lambda: pods_of(SALVOR))
        [job] = [each for each in self.movers() if each["metadata"]["annotations"]["salvor.dev/step"] == "db.dump.shop"]
        return job

    def check_complete(self, reference: str) -> Json:
        backup = self.show("backup", "show", reference)
        self.assertEqual(backup["coverage"].upper(), "COMPLETE", backup.get("reason"))
        kinds = [each["kind"].upper() for each in backup["manifest"]["artifacts"] if each["component"] == "db"]
        self.assertEqual(len(kinds), 3, kinds)
        return backup


LOCKED = "begin; lock table orders in access exclusive mode; select pg_sleep(600); commit"
WRITES = "do $$ begin for i in 1..1000000 loop insert into noise default values; commit; end loop; end $$"


class ADatabase(Postgres):
    def test_it_is_backed_up_under_writes_and_comes_back_elsewhere(self):
        self.put_there()

        # The Secret is the owner's to give.
        refused = self.cli("backup", "create", "orders", "--wait", check=False, seconds=BACKUP_SECONDS)
        self.assertEqual(refused.returncode, 1, refused.stdout + refused.stderr)
        said = " ".join((refused.stdout + refused.stderr).split())
        self.assertIn(f"the mover may not read the Secret db-login of namespace {self.space}", said)
        self.assertIn("--resource-name=db-login", said)
        self.no_mover_stays()
        self.let_movers_read(self.space)

        with beside(self.space, WRITES):
            wait_for("rows to be written", lambda: query(self.space, "select count(*) from noise") != "0",
                     READY_SECONDS, lambda: pods_of(self.space))
            self.assertIn("complete", self.back_up_shop())
        self.no_mover_stays()
        backup = self.check_complete("latest:shop")
        self.assertIn("uploads", [each["component"] for each in backup["manifest"]["artifacts"]])
        [velero] = backup["manifest"]["velero"]
        self.assertIn("covered by the dump of component db", [each.get("skip") for each in velero["volumes"]])
        self.assertTrue(volume_info(velero["backup"])["data-db-0"]["skipped"], "its disk is not in the bucket twice")
        self.check_rights()

        other = self.namespace("salvor-elsewhere")
        self.start_database(other)
        self.let_movers_read(other)
        self.declare_text(application("copy", other, DATABASE.replace("      claims: [data-db-0]\n", "")))
        done = self.cli("restore", "create", "--backup", "latest:shop", "--to", "copy", "--component", "db", "--wait",
                        check=False, seconds=BACKUP_SECONDS)
        # The role that both servers begin with has another password there, and stays: that, and no more, is not restored.
        said = " ".join((done.stdout + done.stderr).split())
        self.assertEqual(done.returncode, 3, said)
        self.assertIn("differ: postgres (its password is another one)", said)
        self.assertIn("1 check could not be made", said)
        self.assertEqual(query(other, SUM), query(self.space, SUM))
        self.assertNotEqual(query(other, "select count(*) from noise"), "0")
        self.no_mover_stays()

    def check_rights(self) -> None:
        def may(account: str, *words: str) -> bool:
            return succeeds("auth", "can-i", *words, f"--as={account}")
        executor = "system:serviceaccount:salvor:salvor-executor"
        self.assertTrue(may(MOVER, "get", "secrets/db-login", "-n", self.space))
        for words in (("get", "secrets", "-n", self.space), ("list", "secrets", "-n", self.space),
                      ("get", "secrets/other", "-n", self.space), ("create", "jobs.batch", "-n", SALVOR),
                      ("list", "pods", "-n", self.space), ("get", "secrets", "-n", SALVOR)):
            self.assertFalse(may(MOVER, *words), words)
        self.assertFalse(may(executor, "get", "secrets/db-login", "-n", self.space), "only movers have passwords")
        self.assertFalse(may(executor, "create", "jobs.batch", "-n", self.space))
        # Nothing copied it: neither into Salvor's namespace nor into a Job.
        self.assertEqual([each["metadata"]["name"] for each in find(SALVOR, "secrets") if "of-a-test" in str(each)
                          and each["metadata"]["name"] != "salvor-vault"], [])

    def test_whoever_dies_meanwhile_it_is_complete(self):
        self.put_there()
        self.let_movers_read(self.space)
        with beside(self.space, LOCKED):
            self.wait_for_lock()
            run = self.start_backup_of("orders")
            job = self.wait_for_dump_behind_lock()
            [pod] = find(SALVOR, "pods", f"salvor.dev/mover={job['metadata']['name']}")
            self.assertNotIn("of-a-test", json.dumps([job, pod]))
            kubectl("-n", SALVOR, "delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
            wait_for("another attempt", lambda: self.step(run, "db.dump.shop").get("attempt", 1) >= 2, BACKUP_SECONDS,
                     lambda: self.step(run, "db.dump.shop"))
        self.assertEqual(self.outcome(run), "SUCCEEDED")
        self.check_complete("latest:orders")
        self.no_mover_stays()

        with beside(self.space, LOCKED):
            self.wait_for_lock()
            run = self.start_backup_of("orders")
            job = self.wait_for_dump_behind_lock()
            self.kill_executor()
            self.wait_for_executor()
            [same] = [each for each in self.movers() if each["metadata"]["name"] == job["metadata"]["name"]]
            self.assertEqual(same["metadata"]["uid"], job["metadata"]["uid"], "it was taken up again, not made anew")
        self.assertEqual(self.outcome(run), "SUCCEEDED")
        self.assertEqual(self.step(run, "db.dump.shop").get("attempt", 1), 1)
        self.check_complete("latest:orders")
        self.no_mover_stays()

    def test_a_cancelled_dump_leaves_nothing(self):
        self.put_there()
        self.let_movers_read(self.space)
        with beside(self.space, LOCKED):
            self.wait_for_lock()
            run = self.start_backup_of("orders")
            self.wait_for_dump_behind_lock()
            self.cli("run", "cancel", run)
            self.assertEqual(self.outcome(run), "CANCELLED")
            self.no_mover_stays()
            wait_for("the dump's sessions to be gone", lambda: query(self.space, WAITING) == "0", READY_SECONDS,
                     lambda: query(self.space, "select application_name, state, query from pg_stat_activity"))

    def test_an_image_that_is_not_there_is_named_and_not_waited_for_in_silence(self):
        self.put_there()
        self.let_movers_read(self.space)
        template = get(SALVOR, "podtemplate", "salvor-mover") or {}
        [mover] = [each for each in template["template"]["spec"]["containers"] if each["name"] == "mover"]
        mover["image"] = "salvor.test/not-there:1"
        apply(SALVOR, template)
        run = self.start_backup_of("orders")

        def said() -> str:
            return " ".join(self.cli("run", "show", run).stdout.split())
        wait_for("the run to say what it waits for",
                 lambda: "its image salvor.test/not-there:1 can't be had" in said(), READY_SECONDS, said)
        self.cli("run", "cancel", run)
        self.assertEqual(self.outcome(run), "CANCELLED")
        self.no_mover_stays()

    def kill_executor(self) -> None:
        """The process itself, as the kernel would: its container is started again, in the same pod."""
        found = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline")
                 if b"\0--name=salvor-executor-0\0" in _read(path)]
        self.assertEqual(len(found), 1, found)
        before = self.restarts()
        os.kill(found[0], signal.SIGKILL)
        wait_for("the executor to be started again", lambda: self.restarts() > before, READY_SECONDS,
                 lambda: pods_of(SALVOR))

    def restarts(self) -> int:
        status = (get(SALVOR, "pod", "salvor-executor-0") or {}).get("status", {})
        return sum(each["restartCount"] for each in status.get("containerStatuses", []))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


if __name__ == "__main__":
    unittest.main()
