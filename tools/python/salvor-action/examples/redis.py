#!/usr/bin/python3
"""Redis as an action: its dataset as an RDB file, taken from a running server without stopping it.

Settings
  socket     the server's unix socket; or
  host, port its address ("127.0.0.1", "6379")
  directory  restore to a target: the data folder of a stopped server, where dump.rdb is put
Secrets
  password   for AUTH
The user that it runs as reads the socket, and for a restore writes the directory.

The copy that a server sends to a replica is of one instant. What a copy must equal is read from that same file, by a server
of our own that loads it: each database's keys, their times to live, and one digest of everything. It loads as a replica
does, so that no key expires under our hands, today or in a year.

Not in an RDB file, and so not kept: users (ACL files), the configuration, what is in modules that are not here.
"""
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import time

from salvor_action import Action, Damaged, Failed, Temporary, run

RDB = "dump.rdb"
START_S = 300  # to load a large file


def command(request, *words, **options):
    settings = request.settings
    where = ["-s", settings["socket"]] if "socket" in settings else ["-h", settings.get("host", "127.0.0.1"),
                                                                     "-p", settings.get("port", "6379")]
    environment = dict(os.environ)
    if "password" in request.secrets:
        environment["REDISCLI_AUTH"] = request.secrets["password"]  # never on a command line
    return subprocess.run(["redis-cli", *where, *words], env=environment, capture_output=True, text=True, check=False, **options)


def said(done):
    return (done.stdout + done.stderr).strip()[-300:]


def ask(request):
    """That the server answers, and holds all that it will hold."""
    pong = command(request, "PING")
    if pong.stdout.strip() != "PONG":
        raise Temporary(f"the server does not answer: {said(pong)}")
    info = dict(line.split(":", 1) for line in command(request, "INFO", "persistence").stdout.split() if ":" in line)
    if info.get("loading") == "1":
        raise Temporary("the server is still loading its data")


@contextlib.contextmanager
def scratch_server(work, rdb):
    """A server on a copy of the file, which nobody else reaches and which writes nothing."""
    folder = pathlib.Path(work) / "server"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    shutil.copyfile(rdb, folder / RDB)
    socket = folder / "s"
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", socket, "--dir", folder, "--dbfilename", RDB, "--save", "", "--appendonly",
         "no", "--daemonize", "no", "--enable-debug-command", "yes", "--replicaof", "127.0.0.1 1", "--logfile", ""],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        def redis(*words):
            done = subprocess.run(["redis-cli", "-s", socket, *words], capture_output=True, text=True, check=False)
            return done.stdout.strip() if done.returncode == 0 else ""
        until = time.monotonic() + START_S
        while redis("PING") != "PONG":
            if server.poll() is not None:
                raise Damaged("no server loads the file: " + " ".join(server.stdout.read().split("\n")[-5:])[:300])
            if time.monotonic() > until:
                raise Temporary("a server of our own is not up yet")
            time.sleep(0.05)
        yield redis
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)


def functions_of(text):
    """One digest of them in an order of ours: a server lists them in another at every start."""
    libraries = json.loads(text)
    for library in libraries:
        library["functions"].sort(key=lambda one: one["name"])
    libraries.sort(key=lambda one: one["library_name"])
    return hashlib.sha256(json.dumps(libraries, sort_keys=True).encode()).hexdigest()


def contents(work, rdb):
    """name -> value of all that is in the file."""
    with scratch_server(work, rdb) as redis:
        values = {"dataset": redis("DEBUG", "DIGEST"),
                  "functions": functions_of(redis("--json", "FUNCTION", "LIST", "WITHCODE"))}
        for line in redis("INFO", "keyspace").splitlines():
            if line.startswith("db"):
                database, counts = line.strip().split(":", 1)
                counted = dict(one.split("=") for one in counts.split(","))
                values[f"{database} keys"] = counted["keys"]
                values[f"{database} keys that expire"] = counted["expires"]
        if not values["dataset"]:
            raise Failed("the server does not give a digest of its data", hint="It has to be Redis 7 or newer.")
        return values


def check_file(path):
    checked = subprocess.run(["redis-check-rdb", path], capture_output=True, text=True, check=False)
    if checked.returncode != 0:
        raise Damaged("redis-check-rdb refuses the file: " + said(checked))


class Redis(Action):
    def plan(self, request, tell):
        if request.operation == "restore":
            return self._plan_restore(request, tell)
        ask(request)
        tell.artifact(RDB, "file")

    def _plan_restore(self, request, tell):
        directory = pathlib.Path(request.settings.get("directory", ""))
        if not directory.is_absolute() or not directory.is_dir():
            raise Failed(f"the setting directory is no folder: {directory}", hint="Declare the data folder of the stopped server.")
        for name in (RDB, "appendonlydir", "appendonly.aof"):
            if (directory / name).exists():
                tell.conflict(f"{directory / name} is there already")
        if "socket" in request.settings and command(request, "PING").stdout.strip() == "PONG":
            tell.conflict("the server runs, and would write over what is restored")

    def backup(self, request, tell):
        ask(request)
        path = pathlib.Path(request.work) / RDB
        fetched = command(request, "--rdb", str(path))
        if fetched.returncode != 0 or not path.exists():
            raise Temporary("the server did not send its data: " + said(fetched))
        check_file(path)
        for name, value in contents(request.work, path).items():
            tell.expect(name, value)
        tell.artifact(RDB, "file", path=RDB, bytes=path.stat().st_size)

    def restore(self, request, tell):
        source = self.artifact(request, RDB).path
        check_file(source)
        folder = pathlib.Path(request.work if request.drill else request.settings["directory"])
        partial = folder / (RDB + ".partial")
        shutil.copyfile(source, partial)
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        partial.rename(folder / RDB)

    def verify(self, request, tell):
        folder = pathlib.Path(request.work if request.drill else request.settings["directory"])
        for name, value in contents(request.work, folder / RDB).items():
            tell.observe(name, value)
        tell.check("a server loads it", "passed")


if __name__ == "__main__":
    run(Redis())
