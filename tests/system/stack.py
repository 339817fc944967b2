"""A whole Salvor on one machine for tests: real PostgreSQL, real restic, real salvord, agent and CLI.

Everything lives in one temporary directory and is reached by unix sockets only. Waiting is polling with a
deadline; nothing sleeps for a guessed time. Only processes that the stack started are ever ended, by id.
"""

import contextlib
import itertools
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

BIN = pathlib.Path(os.environ.get("SALVOR_BIN", "build/dev/bin")).resolve()
REPOSITORY = pathlib.Path(__file__).resolve().parents[2] / "agent/restic/testdata/repository"
POSTGRES_BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
DEADLINE_S = float(os.environ.get("SALVOR_TEST_DEADLINE_S", "120"))
_TICK = threading.Event()  # never set: its timed wait is the pause between two looks


def wait_for(what, condition, deadline_s=DEADLINE_S):
    """The first true answer of condition(); fails naming `what` when the deadline passes."""
    until = time.monotonic() + deadline_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"waited {deadline_s:.0f} s in vain for: {what}")
        _TICK.wait(0.1)


def processes():
    """pid -> argv of every process that can be read."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                argv = (entry / "cmdline").read_bytes().split(b"\0")
                if argv and argv[0]:
                    found[int(entry.name)] = [os.fsdecode(a) for a in argv]
    return found


# Below those the kernel gives to any connection, and begun at by process: neither this one, which never gets the same
# twice, nor another beside it is given what somebody is about to use.
_PORTS = itertools.cycle(range(20_000, 32_000))
for _ in range(os.getpid() * 16 % 12_000):
    next(_PORTS)


def free_ports(count):
    """Loopback ports that nobody uses."""
    ports = []
    while len(ports) < count:
        port = next(_PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.append(port)
    return ports


def environment_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    return b""


class Stack:
    """Use as a context manager. `rows` decides how large the database shop is (about 100 bytes each).

    Its repository is there, with a key that is cheap to derive, unless Salvor itself is to make one."""

    def __init__(self, rows=2000, files=40, repository=True):
        self.rows, self.files, self.wants_repository = rows, files, repository
        self.ports = free_ports(3)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="salvor-system-"))
        self.dir.chmod(0o755)
        self.salvord = self.agent = self.second_agent = None
        self.owner = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.uploads = self.dir / "uploads"
        self.repository = self.dir / "vault"
        self.password = self.dir / "vault.password"
        self.server = f"unix://{self.dir}/salvord.sock"
        self.tls_server_options, self.authorities = [], None  # see security_test.py
        self.apply_flags = []  # of the first declaration
        self.check_programs = []  # what the agents' host allows; set before entering, as are
        self.agent_options = []   # more options of the agents
        self.agent_token = self.dir / "control/agent.token"  # of agents that are started from now on

    # ---- set-up and tear-down

    def __enter__(self):
        try:
            self._start_postgres()
            self._load_data()
            self._make_uploads()
            self.password.write_text("a password for a test\n")
            self.password.chmod(0o600)
            if self.wants_repository:
                self._make_repository()
            self.start_salvord()
            self.start_agent()
            self.apply(self.declaration(), *self.apply_flags)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, value, trace):
        for process in (self.agent, self.second_agent, self.salvord):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._pg_ctl("-m", "immediate", "stop", check=False)
        left = self.leftovers_that_stay()
        if kind is not None:
            for name in ("salvord.log", "agent.log"):
                log = self.dir / name
                if log.exists():
                    print(f"--- {name}\n{log.read_text()[-4000:]}")
        shutil.rmtree(self.dir, ignore_errors=True)
        if kind is None and left:
            raise AssertionError(f"processes are left running: {left}")

    def _as_owner(self, argv):
        if os.geteuid() == 0:
            return ["setpriv", f"--reuid={self.owner}", f"--regid={self.owner}", "--init-groups", *argv]
        return list(argv)

    def _start_postgres(self):
        data, socket = self.dir / "pg-data", self.dir / "pg"
        for path in (data, socket):
            path.mkdir()
            shutil.chown(path, self.owner)
        subprocess.run(self._as_owner([POSTGRES_BIN / "initdb", "-D", data, "-A", "trust", "--no-sync", "--no-instructions",
                                       "-E", "UTF8", "--locale=C.UTF-8", "-U", "postgres"]),
                       check=True, stdout=subprocess.DEVNULL, cwd="/")
        self._pg_ctl("start")

    def _pg_ctl(self, *arguments, check=True):
        options = f"-c listen_addresses='' -c unix_socket_directories={self.dir}/pg -c fsync=off -c autovacuum=off"
        return subprocess.run(self._as_owner([POSTGRES_BIN / "pg_ctl", "-D", self.dir / "pg-data", "-w", "-s", "-l",
                                              self.dir / "pg" / "server.log", "-o", options, *arguments]),
                              check=check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")

    def stop_postgres(self):
        self._pg_ctl("-m", "immediate", "stop")

    def start_postgres_again(self):
        self._pg_ctl("start")

    def sql(self, query, database="postgres"):
        done = subprocess.run(["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", self.dir / "pg", "-U", "postgres", "-d",
                               database], input=query, text=True, capture_output=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"psql: {done.stderr}")
        return done.stdout.strip()

    def _load_data(self):
        self.sql("CREATE ROLE shop_owner; CREATE ROLE shop_app LOGIN; CREATE DATABASE shop OWNER shop_owner")
        self.sql(f"""
            CREATE TABLE orders(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL, body text, at timestamptz);
            INSERT INTO orders(customer, body, at)
              SELECT 'customer ' || g, md5(g::text) || md5((g + 1)::text), '2026-01-01'::timestamptz + g * interval '1 minute'
              FROM generate_series(1, {self.rows}) g;
            CREATE TABLE schema_migrations(version text PRIMARY KEY); INSERT INTO schema_migrations VALUES ('1'), ('2');
            ALTER TABLE orders OWNER TO shop_owner; GRANT SELECT, INSERT ON orders TO shop_app;
            SELECT lo_from_bytea(0, 'a large object');
        """, "shop")

    def _make_uploads(self):
        self.uploads.mkdir()
        for i in range(self.files):
            (self.uploads / f"file {i}").write_bytes(os.urandom(1000 + i))
        (self.uploads / "link").symlink_to("file 0")
        os.link(self.uploads / "file 1", self.uploads / "hard link")

    def _make_repository(self):
        shutil.copytree(REPOSITORY, self.repository)
        for name in ("data", "index", "locks", "snapshots"):
            (self.repository / name).mkdir()

    # ---- programs

    def _spawn(self, log, argv, **options):
        with open(self.dir / log, "ab") as out:
            return subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                    start_new_session=True, **options)

    def start_salvord(self):
        self.salvord = self._spawn("salvord.log", [BIN / "salvord", "--state-directory", self.dir / "control", "--listen",
                                                   self.server, "--metrics-listen", f"127.0.0.1:{self.ports[0]}",
                                                   *self.tls_server_options])

        def answers():
            assert self.salvord.poll() is None, f"salvord ended with {self.salvord.returncode}"
            return self.cli("version", check=False).returncode in (0, 4)  # 4: it knows the caller's token no more
        wait_for("salvord to answer", answers)

    def start_agent(self, wait=True, server=None, environment=None):
        self.agent = self._spawn_agent("host-a", "agent", self.ports[1], server or self.server, environment)
        if wait:
            self.wait_for_agent()

    def start_second_agent(self, name="host-b", of="local"):
        """The agent has a state directory of its own, as another host would have it."""
        self.second_agent = self._spawn_agent(name, "agent-b", self.ports[2], self.server, of=of)

        def connected():
            rows = self.cli("agent", "list").stdout.splitlines()
            return any(row.split()[:2] == [name, of] and " connected " in row for row in rows)
        wait_for("the second agent to connect", connected)

    def _spawn_agent(self, name, state, port, server, environment=None, of="local"):
        return self._spawn(f"{state}.log", [BIN / "salvor-agent", "--name", name, "--environment", of, "--server", server,
                                            "--token-file", self.agent_token, "--state-directory", self.dir / state,
                                            "--allow-write-below", self.dir, "--metrics-listen", f"127.0.0.1:{port}",
                                            *[word for program in self.check_programs
                                              for word in ("--allow-check-program", program)],
                                            *self.agent_options,
                                            *(["--ca-file", self.authorities] if self.authorities else [])],
                           env={**os.environ, **(environment or {})})

    def wait_for_agent(self):
        def connected():
            done = self.cli("agent", "list", "-o", "json", check=False)
            return done.returncode == 0 and '"connected": true' in done.stdout
        wait_for("the agent to connect", connected)

    def wait_for_no_agent(self):
        wait_for("no agent to be connected", lambda: '"connected": true' not in self.cli("agent", "list", "-o", "json").stdout)

    def kill_agent(self):
        self.agent.kill()
        self.agent.wait()

    def kill_salvord(self):
        self.salvord.kill()
        self.salvord.wait()

    def cli_environment(self):
        environment = {**os.environ, "SALVOR_SERVER": self.server, "NO_COLOR": "1",
                       "SALVOR_TOKEN_FILE": str(self.dir / "control/api.token")}
        if self.authorities:
            environment["SALVOR_CA_FILE"] = str(self.authorities)
        return environment

    def cli(self, *arguments, check=True, timeout=DEADLINE_S):
        done = subprocess.run([BIN / "salvor", *map(str, arguments)], text=True, capture_output=True,
                              env=self.cli_environment(), check=False, timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(f"salvor {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def restic(self, *arguments, check=True):
        done = subprocess.run(["restic", "-r", self.repository, "--no-cache", "--password-file", self.password, *arguments],
                              text=True, capture_output=True, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"restic {arguments}: {done.stderr}")
        return done

    # ---- declarations and runs

    def declaration(self, **replace):
        values = {"repository": self.repository, "password": self.password, "socket": self.dir / "pg",
                  "uploads": self.uploads, "capture": "Stream", "extra": "", **replace}
        return """
apiVersion: salvor.dev/v1
kind: Location
metadata: {{name: vault}}
spec: {{restic: {{repository: "{repository}", passwordFile: "{password}"}}}}
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
    postgres:
      connection: {{socketDirectory: "{socket}", user: postgres}}
      databases: [shop]
      capture: {capture}
      {extra}
    checks:
    - {{name: newest-migration, sql: {{database: shop, query: SELECT max(version) FROM schema_migrations, expect: "2"}}}}
    - name: can-order
      write: {{database: shop, role: shop_app, statements: ["INSERT INTO orders(customer) VALUES ('x')"]}}
    - {{name: must-not-delete, permission: {{database: shop, role: shop_app, statement: DELETE FROM orders, expect: Denied}}}}
  - name: uploads
    disk: {{paths: ["{uploads}"]}}
""".format(**values)

    def metrics(self, of):
        """The text that a scrape of "salvord" or "agent" gets."""
        port = self.ports[("salvord", "agent").index(of)]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return answer.read().decode()

    def apply(self, text, *flags, check=True):
        path = self.dir / "objects.yaml"
        path.write_text(text)
        return self.cli("apply", "-f", path, *flags, check=check)

    def start_run(self, *arguments):
        """The name of the started run."""
        done = self.cli(*arguments)
        return re.search(r"\b((?:backup|drill|restore|delete)-[a-z0-9-]+-\d{8}-\d{6}-[0-9a-f]{4})\b", done.stdout + done.stderr).group(1)

    def run(self, name):
        return json.loads(self.cli("run", "show", name, "-o", "json").stdout)

    def steps(self, name):
        """step id -> its status, phases as 'RUNNING' and so on."""
        return {s["id"]: {**s, "phase": s["phase"].upper()} for s in self.run(name)["steps"]}

    def wait_for_step(self, run, step, *phases):
        return wait_for(f"{step} to be {' or '.join(phases)}", lambda: self.steps(run)[step]["phase"] in phases)

    def outcome(self, name, deadline_s=DEADLINE_S):
        """Waits for the end of a run: SUCCEEDED, FAILED or CANCELLED."""
        def over():
            phase = self.run(name)["phase"].upper()
            return phase if phase in ("SUCCEEDED", "FAILED", "CANCELLED") else None
        return wait_for(f"run {name} to end", over, deadline_s)

    def backup(self, reference="latest:shop"):
        return json.loads(self.cli("backup", "show", reference, "-o", "json").stdout)

    def snapshots(self, *tags):
        arguments = [a for tag in tags for a in ("--tag", tag)]
        return json.loads(self.restic("snapshots", "--json", "--no-lock", *arguments).stdout) or []

    def dumps_kept(self):
        """Snapshots of databases, without those of their details and of the roles."""
        return [s for s in self.snapshots()
                if any(re.fullmatch(r"artifact=db\.dump\.[^.]+", tag) for tag in s.get("tags") or [])]

    def locks(self):
        return self.restic("list", "locks", "--no-lock").stdout.split()

    # ---- what must not be left

    def children(self, *names):
        """pids of processes that work for this stack and whose program has one of these names."""
        mine = []
        for pid, argv in processes().items():
            named = not names or os.path.basename(argv[0]) in names
            about_us = any(str(self.dir) in a for a in argv) or str(self.dir).encode() in environment_of(pid)
            if named and about_us and pid != os.getpid():
                mine.append(pid)
        return mine

    def leftovers(self):
        working = {"restic", "pg_dump", "pg_restore", "pg_dumpall", "salvor-supervise", "postgres", "psql", "initdb",
                   "salvord", "salvor-agent", "pg_amcheck", "mariadb", "mariadb-dump", "mariadbd"}
        alive = processes()
        return [alive[pid] for pid in self.children() if pid in alive and os.path.basename(alive[pid][0].rstrip(":")) in working]

    def leftovers_that_stay(self):
        """A process that was told to end may still be in the kernel's hands when pg_ctl and wait() have answered."""
        with contextlib.suppress(AssertionError):
            wait_for("all processes to be gone", lambda: not self.leftovers(), deadline_s=20)
        return self.leftovers()

    def fingerprint(self, database="shop"):
        return self.sql("SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM orders t", database)
