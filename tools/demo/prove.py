#!/usr/bin/env python3
"""Checks a restored shop with restic, pg_dump, pg_restore and psql alone; none of Salvor's code is used.

  * what the vault keeps has the digests that its manifest says;
  * each restored database dumps to what the kept dump holds: schema, rights, settings, and every row;
  * the uploads are as they were before the disaster;
  * the roles are as they were;
  * the writer's rows are there without a gap up to the instant of the backup, and the later ones are not.

Writes manifest.json and proof.json into the directory, and exits 1 when anything differs.
"""
import argparse
import base64
import difflib
import hashlib
import json
import os
import re
import subprocess
import sys
import threading

# Lines that differ from one dump to the next: a random key, and the versions of the tools.
CHANCE = (b"\\restrict ", b"\\unrestrict ", b"-- Dumped from ", b"-- Dumped by ")
# Settings that change how values are written, as they were when the kept dump was made: a database may have its own
# settings.
PINNED = "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex -c extra_float_digits=3 " \
    "-c lc_monetary=C"
COUNT_ROWS = """
SELECT sum((xpath('/row/n/text()', query_to_xml(
         format('SELECT count(*) AS n FROM %I.%I', n.nspname, c.relname), false, true, '')))[1]::text::bigint)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""


class Proof:
    def __init__(self):
        self.lines = []

    def add(self, what: str, compared: str, good: bool, differences=()):
        self.lines.append({"what": what, "compared": compared, "passed": good})
        print(f"      {'passed' if good else 'FAILED'}  {what}: {compared}", flush=True)
        for line in differences if not good else ():
            print(f"              {line}", flush=True)


def first_differences(before: list, after: list) -> list:
    """A few lines that only one side has, without password hashes."""
    lines = [line for line in difflib.unified_diff(before, after, "before", "after", lineterm="", n=0)
             if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    return [re.sub("PASSWORD '[^']*'", "PASSWORD '***'", line)[:160] for line in lines[:8]]


def run(*command: str) -> bytes:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def newest_manifest(repository: str) -> dict:
    snapshots = json.loads(run("restic", "-r", repository, "snapshots", "--json", "--tag", "salvor,kind=manifest"))
    if not snapshots:
        sys.exit("prove: the vault holds no manifest")
    newest = max(snapshots, key=lambda snapshot: snapshot["time"])
    return json.loads(run("restic", "-r", repository, "dump", newest["id"], newest["paths"][0]))


def in_any_order(policy: bytes) -> bytes:
    """pg_dump lists the roles of a policy by their internal numbers, which a restore gives out anew."""
    return b" ".join(sorted(policy.replace(b",", b" ").split()))


class SqlText(threading.Thread):
    """A plain dump, read on a thread of its own. Rows of a table come back from a restore in another order, so
    they are summed: Python's keyed 64-bit hash is the same within one process, and costs little."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.schema, self.rows, self.tables, self.sequences = stream, [], 0, [], {}
        self.start()

    def run(self):
        for line in self.stream:
            if line.startswith(CHANCE):
                continue
            if line.startswith(b"SELECT pg_catalog.setval("):
                self.read_sequence(line)
                continue
            self.schema.append(in_any_order(line) if line.startswith(b"CREATE POLICY ") else line)
            if line.startswith(b"COPY ") and line.endswith(b" FROM stdin;\n"):
                self.tables.append((line, *self.read_rows()))

    def read_sequence(self, line: bytes):
        """Sequences may only have moved on: a check that writes and rolls back takes a number all the same."""
        name, value = re.match(rb"SELECT pg_catalog.setval\('(.*)', (\d+), ", line).groups()
        self.sequences[name] = int(value)

    def not_behind(self, kept: "SqlText") -> bool:
        return self.sequences.keys() == kept.sequences.keys() and \
            all(self.sequences[name] >= value for name, value in kept.sequences.items())

    def read_rows(self) -> tuple:
        count = total = 0
        for row in iter(self.stream.readline, b"\\.\n"):
            if not row:
                raise EOFError("the dump ends within a table")
            count += 1
            total += hash(row)
        self.rows += count
        return count, total

    def result(self) -> tuple:
        """Statements in any order (rights and settings are listed as they were given), tables by name."""
        self.join()
        return sorted(self.schema), sorted(self.tables)

    def lines(self) -> list:
        return sorted(line.decode("utf-8", "replace").rstrip("\n") for line in self.schema) + \
            sorted(str(table) for table in self.tables)


def kept_text(repository: str, artifact: dict):
    """The kept dump as SQL text, and the digest of the file itself, in one pass."""
    source = subprocess.Popen(["restic", "-r", repository, "dump", artifact["snapshot"], artifact["path"]],
                              stdout=subprocess.PIPE)
    convert = subprocess.Popen(["pg_restore", "--create", "-f", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    text, file_digest, size = SqlText(convert.stdout), hashlib.sha256(), 0
    while block := source.stdout.read(1 << 20):
        file_digest.update(block)
        size += len(block)
        convert.stdin.write(block)
    convert.stdin.close()
    text.join()
    if source.wait() or convert.wait():
        sys.exit(f"prove: the dump of {artifact['database']} cannot be read from the vault")
    return text, file_digest.digest(), size


def restored_text(database: str) -> SqlText:
    dump = subprocess.Popen(["pg_dump", "--create", "--format=plain", "--dbname", database], stdout=subprocess.PIPE,
                            env={**os.environ, "PGOPTIONS": PINNED})
    text = SqlText(dump.stdout)
    text.join()
    if dump.wait():
        sys.exit(f"prove: the restored database {database} cannot be dumped")
    return text


def prove_database(proof: Proof, repository: str, artifact: dict):
    name = artifact["database"]
    kept, digest, size = kept_text(repository, artifact)
    proof.add(f"dump of {name} in the vault", f"{size:,} bytes, SHA-256 as in the manifest",
              digest == base64.b64decode(artifact["sha256"]) and size == int(artifact["bytes"]))
    restored = restored_text(name)
    proof.add(f"database {name}", f"dumps to the same SQL as was kept: schema, rights, settings and the rows of "
              f"{len(restored.tables)} tables", kept.result() == restored.result() and restored.not_behind(kept),
              first_differences(kept.lines(), restored.lines()))
    rows = int(run("psql", "-XAtq", "-d", name, "-c", COUNT_ROWS))
    proof.add(f"rows of {name}", f"{rows:,} counted, {kept.rows:,} in the dump, {int(artifact['rows']):,} in the "
              "manifest", rows == kept.rows == int(artifact["rows"]))


def without_chance(text: bytes) -> list:
    """The order does not matter; who granted a membership becomes whoever restores it."""
    return sorted(re.sub(rb" GRANTED BY .*;", b";", line) for line in text.splitlines() if not line.startswith(CHANCE))


def prove_roles(proof: Proof, directory: str):
    with open(os.path.join(directory, "roles.before"), "rb") as before:
        was = without_chance(before.read())
    now = without_chance(run("pg_dumpall", "--roles-only"))
    proof.add("roles", "pg_dumpall says the same as before the disaster", was == now,
              first_differences([line.decode() for line in was], [line.decode() for line in now]))


def prove_uploads(proof: Proof, directory: str, uploads: str):
    fingerprint = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tree_fingerprint.py")
    with open(os.path.join(directory, "uploads.before"), "rb") as before:
        expected = before.read()
    after = run(sys.executable, fingerprint, uploads)
    with open(os.path.join(directory, "uploads.after"), "wb") as out:
        out.write(after)
    proof.add("uploads", f"all {len(expected.splitlines()):,} entries as before the disaster", after == expected)


def prove_instant(proof: Proof, directory: str):
    with open(os.path.join(directory, "writer.json"), "rb") as status:
        committed = json.load(status)["committed"]
    answer = run("psql", "-XAtq", "-d", "shop", "-c", "SELECT count(*), coalesce(max(id), 0) FROM ops.heartbeat")
    rows, newest = (int(value) for value in answer.split(b"|"))
    proof.add("instant of the backup", f"writer's transactions 1 to {newest:,} are there without a gap; "
              f"the {committed - newest:,} later ones are not", rows == newest and 0 < newest < committed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", required=True)
    parser.add_argument("--uploads", required=True)
    parser.add_argument("--directory", required=True, help="what was remembered before the disaster")
    arguments = parser.parse_args()
    proof = Proof()
    manifest = newest_manifest(arguments.repository)
    with open(os.path.join(arguments.directory, "manifest.json"), "w") as out:
        json.dump(manifest, out, indent=1)
    dumps = [a for a in manifest["artifacts"] if a["kind"] == "KIND_POSTGRES_DUMP"]
    if not dumps:
        sys.exit("prove: the manifest names no dump")
    for artifact in dumps:
        prove_database(proof, arguments.repository, artifact)
    prove_roles(proof, arguments.directory)
    prove_uploads(proof, arguments.directory, arguments.uploads)
    prove_instant(proof, arguments.directory)
    with open(os.path.join(arguments.directory, "proof.json"), "w") as out:
        json.dump(proof.lines, out, indent=1)
    if not all(line["passed"] for line in proof.lines):
        sys.exit("prove: the restored shop is not the one that was kept")


if __name__ == "__main__":
    main()
