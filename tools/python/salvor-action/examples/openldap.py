#!/usr/bin/python3
"""OpenLDAP as an action: the directory and its configuration as LDIF, by slapcat, while slapd runs.

Settings
  config     folder of the configuration (slapd.d); /etc/ldap/slapd.d when absent
  suffix     of the directory: "dc=example,dc=org"
It runs as the user of slapd (openldap), who reads both. slapcat is safe beside a running slapd with the mdb backend, and
each of its two reads is of one instant; the configuration and the directory are two instants.

A restore to a target adds the directory to an empty database of the target's own configuration, while slapd is stopped. The
configuration is restored in a drill, and by hand elsewhere: it has paths of its host.

What a copy must equal is computed from the very bytes that are kept: the entries, and a sum of their digests that does not
depend on their order.
"""
import base64
import hashlib
import pathlib
import shutil
import subprocess
import tempfile
import time

from salvor_action import Action, Damaged, Failed, Temporary, run

DIRECTORY, CONFIG = "directory.ldif", "config.ldif"
PATHS = (b"olcDbDirectory:", b"olcPidFile:", b"olcArgsFile:", b"olcLogFile:")  # of the host


class Entries:
    """Entries of LDIF as they pass: how many, and what they are, in whatever order."""

    def __init__(self):
        self.count, self._sum, self._lines, self.names = 0, 0, [], set()

    def line(self, line):
        if line:
            if not line.startswith(PATHS):
                self._lines.append(line)
            return
        if not self._lines:
            return
        self.count += 1
        self.names.add(self._lines[0])
        digest = hashlib.sha256(b"\n".join(sorted(self._lines))).digest()
        self._sum = (self._sum + int.from_bytes(digest, "big")) % 2**256
        self._lines = []

    def values(self, of):
        self.line(b"")
        return {f"{of}: entries": str(self.count), f"{of}: content": f"{self._sum:064x}"}


def config_of(request):
    return request.settings.get("config", "/etc/ldap/slapd.d")


def suffix_of(request):
    if not request.settings.get("suffix"):
        raise Failed("the setting suffix is missing", hint='Declare it, as "dc=example,dc=org".')
    return request.settings["suffix"]


def slapcat(config, which, sink, may_be_empty=False):
    """Gives every line to the sink, and its end only after slapcat has ended well. may_be_empty: a database without files
    holds nothing yet; in a backup it has lost them."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(["slapcat", "-F", str(config), "-o", "ldif-wrap=no", *which], stdout=subprocess.PIPE,
                                   stderr=said)
        for line in process.stdout:
            sink(line)
        code = process.wait()
        said.seek(0)
        problems = said.read().decode(errors="replace").strip()
    empty = may_be_empty and "cannot be opened: No such file or directory" in problems
    if code != 0 and not empty:
        raise Failed(f"slapcat: {problems[-300:]}")


def read(config, which):
    entries = Entries()
    slapcat(config, which, lambda line: entries.line(line.rstrip(b"\n")), may_be_empty=True)
    return entries


def slapadd(config, which, path):
    added = subprocess.run(["slapadd", "-F", str(config), "-l", str(path), *which], capture_output=True, text=True, check=False)
    if added.returncode != 0:
        raise Damaged(f"slapadd refuses {pathlib.Path(path).name}: {added.stderr.strip()[-300:]}")


class OpenLdap(Action):
    def plan(self, request, tell):
        suffix = suffix_of(request)
        there = read(config_of(request), ["-b", suffix])
        if request.operation == "restore":
            if there.count:
                tell.conflict(f"{suffix} has {there.count} entries already")
            return
        if not there.count:
            raise Failed(f"{suffix} has no entry", hint="Look at the settings config and suffix.")
        tell.artifact(CONFIG, "stream")
        tell.artifact(DIRECTORY, "stream")

    def backup(self, request, tell):
        for name, which, of in ((CONFIG, ["-n", "0"], "config"), (DIRECTORY, ["-b", suffix_of(request)], "directory")):
            entries = Entries()
            with self.open_stream(request, tell, name) as stream:
                def keep(line, stream=stream, entries=entries):
                    stream.write(line)
                    entries.line(line.rstrip(b"\n"))
                slapcat(config_of(request), which, keep)
            for expected, value in entries.values(of).items():
                tell.expect(expected, value)

    def restore(self, request, tell):
        config = pathlib.Path(config_of(request))
        if request.drill:
            config = self._restore_config(request)
        slapadd(config, ["-b", suffix_of(request)], self.artifact(request, DIRECTORY).path)

    def _restore_config(self, request):
        """The configuration with every path of its host led into the work folder."""
        work = pathlib.Path(request.work)
        config = work / "slapd.d"
        config.mkdir(mode=0o700)
        lines, databases = [], 0
        for line in pathlib.Path(self.artifact(request, CONFIG).path).read_bytes().split(b"\n"):
            if line.startswith(b"olcDbDirectory:"):
                folder = work / f"db{databases}"
                folder.mkdir(mode=0o700)
                databases += 1
                line = b"olcDbDirectory: " + str(folder).encode()
            elif line.startswith(PATHS):
                name = line.split(b":")[0]
                line = name + b": " + str(work / name.decode().removeprefix("olc").lower()).encode()
            lines.append(line)
        ldif = work / "config.here.ldif"
        ldif.write_bytes(b"\n".join(lines))
        slapadd(config, ["-n", "0"], ldif)
        return config

    def verify(self, request, tell):
        config = pathlib.Path(request.work) / "slapd.d" if request.drill else pathlib.Path(config_of(request))
        if request.drill:
            self._observe(tell, config, ["-n", "0"], "config")
        self._observe(tell, config, ["-b", suffix_of(request)], "directory")
        schema = subprocess.run(["slapschema", "-F", str(config), "-b", suffix_of(request)], capture_output=True, text=True, check=False)
        tell.check("entries fit the schema", "passed" if schema.returncode == 0 and not schema.stdout.strip() else "failed",
                   (schema.stdout + schema.stderr).strip()[-300:] or None)
        if request.drill:
            self._ask(request, tell, config)
        else:
            for name in ("config: entries", "config: content"):
                tell.check(name, "unverifiable", "the configuration is the target's own")

    @staticmethod
    def _observe(tell, config, which, of):
        for name, value in read(config, which).values(of).items():
            tell.observe(name, value)

    @staticmethod
    def _ask(request, tell, config):
        """That a slapd starts on the copy, and holds the suffix."""
        socket = pathlib.Path(request.work) / "ldapi"
        where = "ldapi://" + str(socket).replace("/", "%2F")
        server = subprocess.Popen(["slapd", "-F", str(config), "-h", where, "-d", "0"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True)
        try:
            until = time.monotonic() + 60
            while True:
                found = subprocess.run(["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", where, "-s", "base", "-b", "",
                                        "namingContexts"], capture_output=True, text=True, check=False)
                if found.returncode == 0:
                    break
                if server.poll() is not None:
                    tell.check("a server starts", "failed", server.stderr.read()[-300:])
                    return
                if time.monotonic() > until:
                    raise Temporary("a server of our own is not up yet")
                time.sleep(0.05)
            contexts = [line.partition(":: ")[2] and base64.b64decode(line.partition(":: ")[2]).decode() or
                        line.partition(": ")[2] for line in found.stdout.splitlines() if line.startswith("namingContexts:")]
            held = suffix_of(request).lower() in [one.lower() for one in contexts]
            tell.check("a server starts and holds the suffix", "passed" if held else "failed", ", ".join(contexts) or "it holds none")
        finally:
            server.terminate()
            server.wait()
            server.stderr.close()
            shutil.rmtree(socket, ignore_errors=True)


if __name__ == "__main__":
    run(OpenLdap())
