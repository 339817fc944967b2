"""The main job with the real programs: backed up, proven, lost, restored, the same again."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import unittest

from stack import Stack


class MainJob(unittest.TestCase):
    def test_backed_up_lost_restored_and_proven(self):
        with Stack(repository=False) as stack:  # which the first backup makes
            before = stack.fingerprint()
            stack.cli("backup", "create", "shop", "--wait")
            backup = stack.backup()
            self.assertEqual(backup["coverage"], "Complete")
            self.assertEqual(backup["verification"], "Unproven")

            drill = stack.cli("drill", "create", "--backup", "latest:shop", "--wait")
            self.assertIn("proven", drill.stdout)
            self.assertEqual(stack.backup()["verification"], "Proven")
            self.assertEqual(list((stack.dir / "agent" / "scratch").iterdir()), [], "the scratch server is gone")

            # Restoring over what is there is refused, before anything is written.
            refused = stack.cli("restore", "create", "--backup", "latest:shop", "--to", "shop", "--wait", check=False)
            self.assertEqual(refused.returncode, 7)
            self.assertIn("shop", refused.stdout + refused.stderr)
            self.assertEqual(stack.fingerprint(), before)

            stack.sql("DROP DATABASE shop; DROP ROLE shop_owner; DROP ROLE shop_app")
            shutil.rmtree(stack.uploads)
            dry = stack.cli("restore", "create", "--backup", "latest:shop", "--to", "shop", "--dry-run")
            self.assertIn("create", dry.stdout)
            self.assertRegex(dry.stdout, r"agrees: db check target server: .*roles will be created")
            self.assertFalse(stack.uploads.exists())
            stack.cli("restore", "create", "--backup", "latest:shop", "--to", "shop", "--wait")
            self.assertEqual(stack.fingerprint(), before)
            self.assertEqual(stack.sql("SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata", "shop"), "a large object")
            self.assertEqual(stack.sql("SELECT has_table_privilege('shop_app', 'orders', 'INSERT')", "shop"), "t")
            self.assertEqual((stack.uploads / "link").readlink().name, "file 0")
            self.assertEqual((stack.uploads / "hard link").stat().st_ino, (stack.uploads / "file 1").stat().st_ino)

    def test_the_tools_words_and_the_speed_of_the_stream_are_kept_with_the_run(self):
        with Stack() as stack:
            run = stack.start_run("backup", "create", "shop")
            self.assertEqual(stack.outcome(run), "SUCCEEDED")
            logs = stack.cli("run", "logs", run).stdout
            self.assertRegex(logs, r"pg_dump \| restic: \d+ bytes in \d+\.\d+ s \(\d+\.\d MiB/s\)")

    def test_the_snapshot_is_exact_although_a_writer_goes_on(self):
        with Stack(rows=20000) as stack:
            stack.sql("""CREATE PROCEDURE churn() LANGUAGE plpgsql AS $$ BEGIN
                           FOR i IN 1..200 LOOP INSERT INTO orders(customer) VALUES ('late ' || i); COMMIT; END LOOP; END $$""", "shop")
            run = stack.start_run("backup", "create", "shop")
            stack.sql("CALL churn()", "shop")
            self.assertEqual(stack.outcome(run), "SUCCEEDED")
            drill = stack.cli("drill", "create", "--backup", "latest:shop", "--wait", "-o", "json")
            self.assertNotIn('"verdict": "Failed"', drill.stdout)
            self.assertEqual(stack.backup()["verification"], "Proven")

    def test_capture_through_a_volume(self):
        with Stack() as stack:
            dumps = stack.dir / "dumps"
            dumps.mkdir()
            stack.apply(stack.declaration(capture="Volume", extra=f'dumpDirectory: "{dumps}"'))
            stack.cli("backup", "create", "shop", "--wait")
            stack.cli("drill", "create", "--backup", "latest:shop", "--wait")
            self.assertEqual(stack.backup()["verification"], "Proven")
            self.assertEqual([p for p in dumps.rglob("*") if p.is_file()], [], "no dump is left behind")

    def test_a_file_that_changes_while_it_is_read_is_named_and_the_backup_is_partial(self):
        with Stack(files=400) as stack:
            changing = stack.uploads / "changing"
            changing.write_bytes(b"x")
            run = stack.start_run("backup", "create", "shop")
            size = 1
            while stack.run(run)["phase"] == "Running":
                size += 1
                changing.write_bytes(b"x" * size)
            backup = stack.backup()
            self.assertEqual(backup["coverage"], "Partial")
            self.assertIn("changing", json.dumps(backup))

    def test_metrics_are_clean_and_last_success_survives_a_restart(self):
        with Stack() as stack:
            stack.cli("backup", "create", "shop", "--wait")
            stack.kill_salvord()
            stack.start_salvord()
            for program in ("salvord", "agent"):
                text = stack.metrics(program)
                lint = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False)
                self.assertEqual((lint.returncode, lint.stdout + lint.stderr), (0, ""), program)
                families = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
                self.assertTrue(families, program)
                self.assertEqual([name for name in families if not name.startswith("salvor_")], [], program)
            self.assertRegex(stack.metrics("salvord"), r'salvor_backup_last_success_timestamp_seconds\{application="shop"\} \d')
            self.assertIn('salvor_agent_tasks_total{action="postgres_dump",outcome="succeeded"} 1', stack.metrics("agent"))

    def test_break_glass_with_restic_and_stock_tools_alone(self):
        with Stack() as stack:
            before = stack.fingerprint()
            stack.cli("backup", "create", "shop", "--wait")
            stack.kill_agent()
            stack.kill_salvord()
            shutil.rmtree(stack.dir / "control")  # nothing of ours is left but the Location
            stack.sql("DROP DATABASE shop; DROP ROLE shop_owner; DROP ROLE shop_app")
            found = stack.snapshots("salvor,kind=manifest")
            self.assertEqual(len(found), 1)
            manifest = json.loads(stack.restic("dump", found[0]["id"], found[0]["paths"][0]).stdout)
            kept = {artifact["kind"]: artifact for artifact in manifest["artifacts"]}
            roles = kept["KIND_POSTGRES_GLOBALS"]
            details = json.loads(stack.restic("dump", roles["snapshot"], roles["path"]).stdout)
            globals_sql = details.get("dumpallSql") or details["dumpall_sql"]
            subprocess.run(["psql", "-X", "-q", "-h", stack.dir / "pg", "-U", "postgres", "-d", "postgres"], input=globals_sql,
                           text=True, capture_output=True, check=True)  # "role postgres already exists" is fine
            dump = kept["KIND_POSTGRES_DUMP"]
            self.assertEqual(dump["contents"]["counts"][0], {"noun": "row", "number": dump["rows"]}, "for today's readers and for 0.2's")
            self.assertEqual(dump["postgres"]["serverVersionNum"], dump["serverVersionNum"])
            file = stack.dir / "shop.dump"
            with open(file, "wb") as out:
                subprocess.run(["restic", "-r", stack.repository, "--no-cache", "--password-file", stack.password, "dump",
                                dump["snapshot"], dump["path"]], stdout=out, check=True)
            self.assertEqual(hashlib.sha256(file.read_bytes()).digest(), base64.b64decode(dump["sha256"]))
            subprocess.run(["pg_restore", "--create", "--exit-on-error", "-h", stack.dir / "pg", "-U", "postgres", "-d", "postgres",
                            file], check=True)
            self.assertEqual(stack.fingerprint(), before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
