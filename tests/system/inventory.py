"""The things that are on the machine because of a stack: to be compared before and after, so that nothing new escapes.

An inventory is a set of lines, each naming one thing as a person would look for it. What is production's own, or
grows by design (the store, restic's cache and packs, logs), is in none.
"""

import contextlib
import json
import os
import pathlib
import sqlite3
import stat

from stack import DEADLINE_S, processes, wait_for

RECORDS = "agent/restores"  # the agent's own of each restore, named after its run, kept for a month
_GROWING = ("pg-data", "vault", "agent/cache", "objects.yaml")
_STORES = ("control/salvor.db", "agent/agent.db")
_QUERY = """
    SELECT 'database ' || datname || coalesce(' (' || shobj_description(oid, 'pg_database') || ')', '')
           || CASE WHEN datallowconn THEN '' ELSE ' closed' END FROM pg_database
    UNION ALL SELECT 'role ' || rolname FROM pg_roles
    UNION ALL SELECT 'tablespace ' || spcname FROM pg_tablespace
    UNION ALL SELECT 'replication slot ' || slot_name FROM pg_replication_slots
    UNION ALL SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts
    UNION ALL SELECT 'subscription ' || subname FROM pg_subscription
    UNION ALL SELECT 'advisory lock ' || objid FROM pg_locks WHERE locktype = 'advisory'
    UNION ALL SELECT 'session ' || application_name || ' in ' || datname || ': ' || left(query, 60) FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
_INSIDE = """
    SELECT 'in ' || current_database() || ': ' || kind || ' ' || name FROM (
      SELECT 'relation' AS kind, oid::regclass::text AS name FROM pg_class WHERE oid >= 16384 AND relkind <> 't' AND relkind <> 'i'
      UNION ALL SELECT 'function', oid::regprocedure::text FROM pg_proc WHERE oid >= 16384
      UNION ALL SELECT 'schema', nspname FROM pg_namespace
      UNION ALL SELECT 'publication', pubname FROM pg_publication
      UNION ALL SELECT 'extension', extname FROM pg_extension
      UNION ALL SELECT 'large object', oid::text FROM pg_largeobject_metadata) things"""


def parent_of(pid):
    """0 when it is gone."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(pathlib.Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()[1])
    return 0


def started_at(pid):
    """It names, with the pid, one process for ever; None when that is gone, or has ended and waits to be reaped."""
    with contextlib.suppress(OSError, IndexError):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
        return None if fields[0] in (b"Z", b"X") else fields[19]
    return None


def descendants(pid):
    """pids below it, in whatever namespaces."""
    below, parents = {pid}, {each: parent_of(each) for each in processes()}
    while more := {each for each, parent in parents.items() if parent in below and each not in below}:
        below |= more
    return below - {pid}


def identities(pids):
    return {(pid, started) for pid in pids if (started := started_at(pid)) is not None}


def production(stack):
    """The postmaster of the stack and its children."""
    with contextlib.suppress(OSError, ValueError):
        postmaster = int((stack.dir / "pg-data/postmaster.pid").read_text().split()[0])
        return {postmaster} | descendants(postmaster)
    return set()


def workers(stack):
    """Whatever works for the stack now, but its two programs and production."""
    below = descendants(stack.agent.pid) | descendants(stack.salvord.pid)
    return (set(stack.children()) | below) - production(stack) - {stack.agent.pid, stack.salvord.pid, os.getpid()}


def _processes(stack):
    alive = processes()
    return {f"process {' '.join(alive[pid])[:200]}" for pid in workers(stack) if pid in alive and started_at(pid) is not None}


def _files(stack):
    found = set()
    for folder, folders, names in os.walk(stack.dir):
        inside = pathlib.Path(folder).relative_to(stack.dir)
        folders[:] = [name for name in folders if str(inside / name) not in _GROWING]
        for name in folders + names:
            path = str(inside / name)
            if path in _GROWING or path.endswith(".log") or path.startswith(_STORES):
                continue
            with contextlib.suppress(OSError):
                kind = "folder" if stat.S_ISDIR(os.lstat(stack.dir / path).st_mode) else "file"
                found.add(f"{kind} {path}")
    return found


def _mounts(stack):
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return {f"mount {line.split()[4]}" for line in lines if str(stack.dir) in line}


def _server(stack):
    found = stack.sql(_QUERY).splitlines()
    for database in ("shop", "postgres"):
        found += stack.sql(_INSIDE, database).splitlines()
    return set(found)


def _repository(stack):
    """Locks, and the snapshots that no manifest in the repository names. What a drill found is meant to stay, once."""
    names = frozenset(os.listdir(stack.repository / "snapshots"))
    known = stack.__dict__.setdefault("_unnamed", {})  # restic is asked once for each state of the repository
    if names not in known:
        snapshots, named = stack.snapshots(), set()
        for manifest in (s for s in snapshots if "kind=manifest" in (s.get("tags") or [])):
            named |= {manifest["id"]} | _named_in(stack, manifest)
        named |= {s["id"] for s in {_drill_of(s): s for s in snapshots if _drill_of(s)}.values()}
        known[names] = {f"snapshot {s['id'][:8]} {' '.join(s.get('tags') or [])}" for s in snapshots if s["id"] not in named}
    return known[names] | _locks(stack)


def _drill_of(snapshot):
    """The drill whose finding it is; nothing for all other snapshots."""
    tags = snapshot.get("tags") or []
    return next((tag for tag in tags if tag.startswith("run=")), None) if "kind=verification" in tags else None


def _locks(stack):
    found = set()
    for name in os.listdir(stack.repository / "locks"):
        with contextlib.suppress(AssertionError, ValueError):  # it is gone meanwhile
            lock = json.loads(stack.restic("cat", "lock", name, "--no-lock").stdout)
            found.add(f"lock {name[:8]} of process {lock['pid']} since {lock['time']}")
    return found


def _named_in(stack, manifest):
    known = stack.__dict__.setdefault("_manifests", {})  # which never change
    if manifest["id"] not in known:
        document = json.loads(stack.restic("dump", "--no-lock", manifest["id"], manifest["paths"][0]).stdout)
        known[manifest["id"]] = {artifact["snapshot"] for artifact in document["artifacts"]}
    return known[manifest["id"]]


def _journal(stack):
    """The work that the agent believes it still has to do."""
    with contextlib.closing(sqlite3.connect(f"file:{stack.dir}/agent/agent.db?mode=ro", uri=True, timeout=30)) as journal:
        attempts = [bytes(row[0]).decode(errors="replace").split("\n") for row in journal.execute("SELECT lease FROM attempt")]
        held = [bytes(row[0]).decode(errors="replace") for row in journal.execute("SELECT name FROM obligation")]
        aside = journal.execute("SELECT count(*) FROM put_aside").fetchone()[0]
    return ({f"journal: attempt of {lease[1]} in {lease[0]}" for lease in attempts} | {f"journal: {name} to undo" for name in held}
            | ({f"journal: {aside} results put aside"} if aside else set()))


def shared_memory(pids):
    """Segments that one of these made."""
    found = set()
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[4]) in pids:
                found.add(f"shared memory segment {fields[1]} of process {fields[4]}")
    return found


def take(stack):
    return (_processes(stack) | _files(stack) | _mounts(stack) | _server(stack) | _repository(stack) | _journal(stack))


def settled(stack, before, expected=lambda thing: False, deadline_s=DEADLINE_S):
    """The things that are new and not expected once nothing more goes away by itself."""
    def new():
        return {thing for thing in take(stack) - before if not expected(thing)}
    with contextlib.suppress(AssertionError):
        wait_for("the machine to be as before", lambda: not new(), deadline_s)
    left = new()
    folders = {thing.partition(" ")[2] + "/" for thing in left if thing.startswith("folder ")}
    return {thing for thing in left if not thing.partition(" ")[2].startswith(tuple(folders))}  # what is in them goes without saying
