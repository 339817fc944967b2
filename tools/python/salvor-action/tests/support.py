"""Real servers for the tests of the examples, each in a folder of its own."""
import contextlib
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))
os.environ["PYTHONPATH"] = str(HERE.parent / "src")
EXAMPLES = HERE.parent / "examples"


def wait_for(what, condition, deadline_s=60):
    until = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"waited {deadline_s} s in vain for {what}")
        time.sleep(0.05)


class WithFolder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="salvor-action-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        (self.folder / "host").mkdir()


class RedisServer:
    """A server with data of every type."""

    def __init__(self, folder, password=""):
        self.folder, self.socket, self.password = folder, folder / "s", password
        folder.mkdir(exist_ok=True)

    def __enter__(self):
        extra = ["--requirepass", self.password] if self.password else []
        self.process = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "777", "--dir",
                                         self.folder, "--save", "", "--repl-diskless-sync-delay", "0", *extra],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("redis", lambda: self.ask("PING") == "PONG")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def ask(self, *words, text=None):
        environment = {**os.environ, **({"REDISCLI_AUTH": self.password} if self.password else {})}
        return subprocess.run(["redis-cli", "-s", self.socket, *words], env=environment, input=text, capture_output=True, text=True,
                              check=False).stdout.strip()

    def fill(self):
        self.ask(text="\n".join([*(f"SET key:{i} value-{i}" for i in range(500)), "RPUSH list a b c", "SADD set x y z",
                                 "HSET hash f 1 g 2", "ZADD scores 1 one 2 two", "XADD stream 1-1 k v", "SET later 1 EX 100000", "SELECT 3", "SET other 3"]))
        self.ask("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)")


SUFFIX_OF_TESTS = "dc=example,dc=org"
LDIF = """dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people
"""
PERSON = """
dn: uid=user{0},ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: user{0}
cn: User {0} Größe
sn: {0}
mail: user{0}@example.org
"""
CONFIG = """dn: cn=config
objectClass: olcGlobal
cn: config
olcPidFile: {0}/slapd.pid

dn: cn=module,cn=config
objectClass: olcModuleList
cn: module
olcModulePath: /usr/lib/ldap
olcModuleLoad: back_mdb

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

include: file:///etc/ldap/schema/core.ldif
include: file:///etc/ldap/schema/cosine.ldif
include: file:///etc/ldap/schema/inetorgperson.ldif

dn: olcDatabase=mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: mdb
olcSuffix: dc=example,dc=org
olcRootDN: cn=admin,dc=example,dc=org
olcDbDirectory: {0}/db
olcDbIndex: uid eq
"""


class Directory:
    """A slapd's folders with a small directory in them; it need not run."""

    def __init__(self, folder, people=50):
        self.folder, self.config = folder, folder / "slapd.d"
        for path in (folder, self.config, folder / "db"):
            path.mkdir(exist_ok=True)
        self.add(["-n", "0"], CONFIG.format(folder))
        if people:
            self.add(["-b", "dc=example,dc=org"], LDIF + "".join(PERSON.format(i) for i in range(people)))

    def add(self, which, text):
        done = subprocess.run(["slapadd", "-F", self.config, *which], input=text, text=True, capture_output=True, check=False)
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    @contextlib.contextmanager
    def running(self):
        server = subprocess.Popen(["slapd", "-F", self.config, "-h", "ldapi://" + str(self.folder / "s").replace("/", "%2F"), "-d", "0"],
                                  stderr=subprocess.DEVNULL)
        try:
            wait_for("slapd", (self.folder / "s").exists)
            yield
        finally:
            server.terminate()
            server.wait()


def give_to(path, user):
    """Everything below the path, where we may."""
    if os.geteuid() == 0:
        owner = pwd.getpwnam(user)
        for one in [path, *path.rglob("*")]:
            os.chown(one, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
