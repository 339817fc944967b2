#!/usr/bin/env python3
"""A drill touches nothing: a hostile dump reaches neither production nor the host, and the host decides what is run."""

import json
import os
import unittest

from stack import Stack


def checks_of(stack, run):
    return [check for step in stack.run(run)["steps"] for check in step.get("result", {}).get("checks", [])]


class HostileDump(unittest.TestCase):
    def test_code_in_a_dump_leaves_nothing_on_the_host(self):
        with Stack() as stack:
            planted = stack.dir / "pg" / "planted"  # where production's own user may write
            stack.sql(f"""
                CREATE FUNCTION leak() RETURNS void LANGUAGE plpgsql AS $$
                  BEGIN COPY (SELECT 1) TO PROGRAM 'touch {planted}'; EXCEPTION WHEN OTHERS THEN NULL; END $$;
                CREATE FUNCTION same(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
                  BEGIN PERFORM public.leak(); RETURN x; END $$;
                CREATE TABLE bait AS SELECT 1 AS x;
                CREATE INDEX ON bait (same(x));
            """, "shop")
            self.assertTrue(planted.exists(), "the bait works where it can")
            stack.cli("backup", "create", "shop", "--wait")
            planted.unlink()
            run = stack.start_run("drill", "create", "--backup", "latest:shop")
            self.assertEqual(stack.outcome(run), "SUCCEEDED")
            self.assertFalse(planted.exists())
            [isolation] = [check for check in checks_of(stack, run) if check["kind"] == "isolation"]
            self.assertEqual(isolation["verdict"], "Passed", isolation)

    def test_a_view_over_production_is_not_filled_from_there(self):
        with Stack() as stack:
            stack.sql(f"""
                CREATE EXTENSION dblink;
                CREATE TABLE reached (at timestamptz DEFAULT now());
                CREATE MATERIALIZED VIEW leaky AS SELECT * FROM dblink(
                  'host={stack.dir}/pg user=postgres dbname=shop', 'INSERT INTO reached DEFAULT VALUES RETURNING 1') AS t(x int);
            """, "shop")
            stack.cli("backup", "create", "shop", "--wait")
            self.assertEqual(stack.sql("SELECT count(*) FROM reached", "shop"), "1", "the bait works where it can")
            run = stack.start_run("drill", "create", "--backup", "latest:shop")
            self.assertEqual(stack.outcome(run), "SUCCEEDED")
            self.assertEqual(stack.sql("SELECT count(*) FROM reached", "shop"), "1")
            [left] = [check for check in checks_of(stack, run) if check["verdict"] != "Passed"]
            self.assertEqual((left["kind"], left["verdict"]), ("materialized views", "Unverifiable"), left)
            self.assertEqual(left["subject"], "shop.public.leaky")
            self.assertEqual(stack.backup().get("verification"), "Unverifiable")


class CommandChecks(unittest.TestCase):
    def declaration(self, stack, program):
        return stack.declaration().replace("    - {name: newest-migration",
                                           f"    - {{name: own, command: {{argv: [{program}]}}}}\n    - {{name: newest-migration", 1)

    def program(self, stack, script):
        path = stack.dir / "check"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def verdict(self, stack, run):
        [check] = [check for check in checks_of(stack, run) if check["subject"] == "own"]
        return check

    def test_they_run_without_rights_and_see_the_copy_alone(self):
        stack = Stack()
        program = self.program(stack, f"""
            test "$(id -u)" != 0 || exit 1
            test ! -e {stack.dir}/vault.password || exit 2
            test "$(psql -XAtc 'SELECT count(*) FROM orders')" -gt 0 || exit 3
            ! psql -Xh {stack.dir}/pg -U postgres -c 'SELECT 1' shop 2>/dev/null""")
        stack.check_programs = [program]
        with stack:
            stack.apply(self.declaration(stack, program))
            stack.cli("backup", "create", "shop", "--wait")
            run = stack.start_run("drill", "create", "--backup", "latest:shop")
            self.assertEqual(stack.outcome(run), "SUCCEEDED")
            self.assertEqual(self.verdict(stack, run)["verdict"], "Passed", self.verdict(stack, run))

    def test_what_the_host_does_not_allow_is_not_run(self):
        with Stack() as stack:
            ran = stack.dir / "ran"
            program = self.program(stack, f"touch {ran}")
            stack.apply(self.declaration(stack, program))
            stack.cli("backup", "create", "shop", "--wait")
            run = stack.start_run("drill", "create", "--backup", "latest:shop")
            stack.outcome(run)
            verdict = self.verdict(stack, run)
            self.assertEqual(verdict["verdict"], "Unverifiable")
            self.assertIn("--allow-check-program", verdict["compared"])
            self.assertFalse(ran.exists())

    def test_a_broken_copy_does_not_pass_on_productions_health(self):
        stack = Stack()
        program = self.program(stack, 'test "$(psql -XAtc "SELECT current_database()")" = shop_copy')
        stack.check_programs = [program]
        with stack:
            stack.apply(self.declaration(stack, program))
            stack.cli("backup", "create", "shop", "--wait")
            run = stack.start_run("restore", "create", "--backup", "latest:shop", "--to", "shop", "--component", "db",
                                  "--rename-database", "shop=shop_copy")
            self.assertEqual(stack.outcome(run), "SUCCEEDED", json.dumps(stack.run(run).get("reason", "")))
            self.assertEqual(self.verdict(stack, run)["verdict"], "Passed", self.verdict(stack, run))


class NotIsolated(unittest.TestCase):
    """A user who runs production too is no user that owns nothing else."""

    def stack(self):
        stack = Stack()
        stack.agent_options = ["--scratch-user", stack.owner]
        return stack

    @unittest.skipIf(os.geteuid() != 0, "only root's agent becomes another user")
    def test_it_is_said_wherever_the_verdict_stands(self):
        with self.stack() as stack:
            stack.cli("backup", "create", "shop", "--wait")
            drill = stack.cli("drill", "create", "--backup", "latest:shop", "--wait", check=False)
            self.assertEqual(drill.returncode, 3, drill.stdout)
            [verdict] = [line for line in drill.stdout.splitlines() if line.startswith("verdict:")]
            self.assertIn("not isolated", verdict)

    @unittest.skipIf(os.geteuid() != 0, "only root's agent becomes another user")
    def test_an_environment_that_demands_isolation_refuses(self):
        with self.stack() as stack:
            stack.apply(stack.declaration().replace("runtime: Host,", "runtime: Host, requireIsolation: true,", 1))
            stack.cli("backup", "create", "shop", "--wait")
            run = stack.start_run("drill", "create", "--backup", "latest:shop")
            self.assertEqual(stack.outcome(run), "FAILED")
            self.assertIn("not isolated", stack.steps(run)["scratch.start"]["result"]["error"]["message"])
            self.assertEqual(list((stack.dir / "agent" / "scratch").iterdir()), [])

    def test_where_it_can_be_had_the_demand_is_met(self):
        with Stack() as stack:
            stack.apply(stack.declaration().replace("runtime: Host,", "runtime: Host, requireIsolation: true,", 1))
            stack.cli("backup", "create", "shop", "--wait")
            stack.cli("drill", "create", "--backup", "latest:shop", "--wait")


if __name__ == "__main__":
    unittest.main(verbosity=2)
