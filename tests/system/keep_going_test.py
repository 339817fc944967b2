"""Restores of what no server takes as it is: nothing, or all but what is named."""

import json
import subprocess
import unittest

from stack import Stack, wait_for

BESIDE = ("restore", "create", "--backup", "latest:shop", "--to", "shop", "--component", "db", "--rename-database", "shop=shop_copy")

# A voucher that was valid when it was written, and an order line whose order is gone.
REFUSED = """
    CREATE TABLE vouchers(id int PRIMARY KEY, valid_until timestamptz);
    INSERT INTO vouchers VALUES (1, '2020-01-01'), (2, '2999-01-01');
    ALTER TABLE vouchers ADD CONSTRAINT still_valid CHECK (valid_until > now()) NOT VALID;
    UPDATE pg_constraint SET convalidated = true WHERE conname = 'still_valid';
    CREATE TABLE lines(id int PRIMARY KEY, order_id bigint CONSTRAINT of_order REFERENCES orders);
    SET session_replication_role = replica; INSERT INTO lines VALUES (1, 1), (2, 999999999);
"""

# Its query waits as long as a session called "holder" is there, and fails then.
HELD = """
    CREATE FUNCTION rate() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
      IF current_setting('my.ok', true) = '1' THEN RETURN 1; END IF;
      WHILE EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'holder') LOOP
        PERFORM pg_sleep(0.02), pg_stat_clear_snapshot();
      END LOOP;
      RAISE EXCEPTION 'no such shop';
    END $$;
    SET my.ok = '1'; CREATE MATERIALIZED VIEW totals AS SELECT rate() AS rate;
"""


class KeepGoing(unittest.TestCase):
    def databases(self, stack):
        return stack.sql("SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate").split()

    def test_nothing_is_restored_until_somebody_says_to_go_on_and_then_all_but_what_is_named(self):
        with Stack() as stack:
            stack.sql(REFUSED, "shop")
            stack.cli("backup", "create", "shop", "--wait")
            name = stack.backup()["name"]

            stopped = stack.cli(*BESIDE, "--wait", check=False)
            self.assertEqual(stopped.returncode, 1, stopped.stderr)
            self.assertIn("rows of table public.vouchers: ", stopped.stderr)
            self.assertIn("violates check constraint", stopped.stderr)
            self.assertIn("--keep-going", stopped.stderr)
            self.assertEqual(self.databases(stack), ["postgres", "shop"])

            drilled = stack.cli("drill", "create", "--backup", "latest:shop", "--wait", check=False)
            self.assertEqual(drilled.returncode, 1, drilled.stderr)
            self.assertEqual(stack.backup(name)["verification"], "Disproven")

            beside = [name if word == "latest:shop" else word for word in BESIDE] + ["--accept-disproven", "--keep-going"]
            planned = stack.cli(*beside, "--dry-run")
            self.assertIn("parts that cannot be built", planned.stdout)
            done = stack.cli(*beside, "--wait", check=False)
            self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
            self.assertIn("to shop: partial in", done.stdout)
            self.assertIn("the restore of", done.stderr)
            for title in ("rows of table public.vouchers", "foreign key public.lines of_order"):
                self.assertIn(title, done.stdout)
                self.assertIn(title, done.stderr)
            self.assertNotIn("999999999", done.stdout + done.stderr, "rows of the application stay where they are")
            self.assertEqual(stack.sql("SELECT count(*) FROM orders", "shop_copy"), stack.sql("SELECT count(*) FROM orders", "shop"))
            self.assertEqual(stack.sql("SELECT count(*) FROM lines", "shop_copy"), "2")
            self.assertEqual(stack.sql("SELECT count(*) FROM vouchers", "shop_copy"), "0")

            run = json.loads(stack.cli("run", "list", "-o", "json").stdout)["items"][0]["header"]["name"]
            shown = stack.cli("run", "show", run).stdout
            self.assertRegex(shown, r"verdict +partial in")
            self.assertIn("could not be built", shown)
            self.assertEqual(sorted(thing["kind"] for thing in stack.steps(run)["db.restore.shop"]["result"]["notBuilt"]),
                             ["FK CONSTRAINT", "TABLE DATA"])
            self.assertEqual(stack.cli("run", "watch", run, check=False).returncode, 3)
            self.assertIn('salvor_runs_total{application="shop",kind="restore",verdict="partial"} 1', stack.metrics("salvord"))

    def test_an_agent_that_is_killed_in_the_middle_doubles_nothing(self):
        with Stack() as stack:
            stack.sql(HELD, "shop")
            stack.cli("backup", "create", "shop", "--wait")
            holder = subprocess.Popen(["psql", "-X", "-q", "-h", stack.dir / "pg", "-U", "postgres", "-d",
                                       "dbname=postgres application_name=holder"], stdin=subprocess.PIPE,
                                      stdout=subprocess.DEVNULL)
            try:
                wait_for("the holder to be there", lambda: stack.sql(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holder'") == "1")
                run = stack.start_run(*BESIDE, "--keep-going")
                wait_for("the restore to wait", lambda: stack.sql(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop_copy' AND query LIKE 'REFRESH%'") == "1")
                first = stack.sql("SELECT oid FROM pg_database WHERE datname = 'shop_copy'")
                stack.kill_agent()
            finally:
                holder.communicate()
            stack.start_agent()
            self.assertEqual(stack.outcome(run), "SUCCEEDED")
            self.assertEqual([thing["title"] for thing in stack.steps(run)["db.restore.shop"]["result"]["notBuilt"]],
                             ["rows of materialized view public.totals"])
            self.assertNotEqual(stack.sql("SELECT oid FROM pg_database WHERE datname = 'shop_copy'"), first)
            self.assertEqual(stack.sql("SELECT count(*) FROM orders", "shop_copy"), stack.sql("SELECT count(*) FROM orders", "shop"))
            self.assertEqual(stack.cli("run", "watch", run, check=False).returncode, 3)
            self.assertEqual(self.databases(stack), ["postgres", "shop", "shop_copy"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
