#include "agent/engines/postgres/server_errors.h"

#include <gtest/gtest.h>

namespace salvor::agent {
namespace {

absl::StatusCode CodeOf(const std::string& stderr_text) {
  ExitStatus status;
  status.code = 1;
  status.error_tail = stderr_text;
  return PostgresToolError({"pg_dump"}, status).code();
}

TEST(PostgresToolErrors, AServerThatWentAwayIsWorthAnotherTry) {
  EXPECT_EQ(
      CodeOf("pg_dump: error: Dumping the contents of table \"orders\" failed: PQgetCopyData() failed.\n"
             "pg_dump: detail: Error message from server: server closed the connection unexpectedly\n"
             "\tThis probably means the server terminated abnormally\n"
             "\tbefore or while processing the request.\n"
             "pg_dump: detail: Command was: COPY public.orders (id) TO stdout;\n"),
      absl::StatusCode::kUnavailable);
  EXPECT_EQ(
      CodeOf("pg_dump: error: query failed: FATAL:  terminating connection due to administrator command\n"),
      absl::StatusCode::kUnavailable);
  EXPECT_EQ(
      CodeOf("pg_dump: error: connection to server on socket \"/run/.s.PGSQL.5432\" failed: FATAL:  the "
             "database system is shutting down\n"),
      absl::StatusCode::kUnavailable);
}

TEST(PostgresToolErrors, OnlyAConnectionThatFailedIsARefusal) {
  ExitStatus status;
  status.code = 1;
  status.error_tail =
      "pg_dump: error: query failed: server closed the connection unexpectedly\nconnection to server was "
      "lost\n";
  EXPECT_NE(HintOf(PostgresToolError({"pg_dump"}, status)).find("log says why"), std::string::npos);
}

TEST(PostgresToolErrors, SoIsOneThatDiesUnderTls) {
  EXPECT_EQ(CodeOf("pg_dump: error: query failed: SSL SYSCALL error: EOF detected\n"),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOf("pg_dump: error: query failed: SSL error: unexpected eof while reading\n"),
            absl::StatusCode::kUnavailable);
}

// The text is pg_dump's own of a real lock: see postgres_dump_action_test.cc.
TEST(PostgresToolErrors, ALockHeldTooLongIsWorthAnotherTry) {
  EXPECT_EQ(CodeOf("pg_dump: error: query failed: ERROR:  canceling statement due to statement timeout\n"
                   "pg_dump: detail: Query was: LOCK TABLE public.orders IN ACCESS SHARE MODE\n"),
            absl::StatusCode::kUnavailable);
}

TEST(PostgresToolErrors, WhatAnotherTryWouldNotMendIsNotTriedAgain) {
  EXPECT_EQ(
      CodeOf("pg_dump: error: connection to server at \"db\" (127.0.0.1), port 5432 failed: FATAL:  password "
             "authentication failed for user \"backup\"\n"),
      absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(CodeOf("pg_dump: error: query failed: ERROR:  permission denied for table orders\n"),
            absl::StatusCode::kInternal);
}

TEST(PostgresToolErrors, WhatRanOutOnTheServerSaysNothingAboutADump) {
  for (const char* text :
       {"ERROR:  out of shared memory\nHINT:  You might need to increase max_locks_per_transaction.",
        "ERROR:  could not extend file \"base/5/16384\": No space left on device",
        "ERROR:  out of memory\nDETAIL:  Failed on request of size 64."}) {
    EXPECT_EQ(CodeOf(std::string("pg_restore: error: could not execute query: ") + text + "\n"),
              absl::StatusCode::kResourceExhausted)
        << text;
  }
}

TEST(PostgresToolErrors, WordsOfAnotherLanguageAreTriedAgainAndNotJudged) {
  EXPECT_EQ(CodeOf("pg_dump: error: query failed: FEHLER:  storniere Anfrage wegen Zeitüberschreitung\n"),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOf("pg_dump: error: query failed: ERREUR:  le verrou n'est pas disponible\n"),
            absl::StatusCode::kUnavailable);
}

TEST(PostgresToolErrors, TheServersErrorIsTheCauseAndNoStatementAndNoRowIs) {
  ExitStatus status;
  status.code = 1;
  status.error_tail =
      "pg_restore: while PROCESSING TOC:\n"
      "pg_restore: from TOC entry 3205; 2606 16390 CHECK CONSTRAINT t recent postgres\n"
      "pg_restore: error: could not execute query: ERROR:  check constraint \"recent\" of relation \"t\" is "
      "violated by some row\n"
      "DETAIL:  Failing row contains (secret).\n"
      "Command was: ALTER TABLE public.t\n"
      "    ADD CONSTRAINT recent\n"
      "    CHECK (at > now());\n\n\n";
  EXPECT_EQ(MessageOf(PostgresToolError({"/usr/bin/pg_restore"}, status)),
            "pg_restore: could not execute query: ERROR:  check constraint \"recent\" of relation \"t\" is "
            "violated by some row (exit code 1)");
}

TEST(PostgresToolErrors, OnlyWhatIsWrongWithTheDumpItselfIsHeldAgainstIt) {
  const auto state = [](const std::string& error) {
    return SqlStateOfBadDump("pg_restore: while PROCESSING TOC:\npg_restore: error: " + error +
                             "\nCommand was: x\n");
  };
  EXPECT_EQ(
      state(
          "COPY failed for table \"t\": ERROR:  new row for relation \"t\" violates check constraint \"c\""),
      "23514");
  EXPECT_EQ(state("could not execute query: ERROR:  insert or update on table \"t\" violates foreign key "
                  "constraint \"f\""),
            "23503");
  EXPECT_EQ(state("could not execute query: ERROR:  function public.f(text) does not exist"), "42883");
  EXPECT_EQ(state("could not execute query: ERROR:  relation \"t\" already exists"), "");
  EXPECT_EQ(state("could not execute query: ERROR:  role \"app\" does not exist"), "");
  EXPECT_EQ(state("could not execute query: ERROR:  extension \"postgis\" is not available"), "");
  EXPECT_EQ(state("could not execute query: ERROR:  out of shared memory"), "");
  EXPECT_EQ(state("could not execute query: ERROR:  could not extend file: No space left on device"), "");
  EXPECT_EQ(state("could not execute query: ERROR:  permission denied for schema public"), "");
  EXPECT_EQ(SqlStateOfBadDump(""), "");
}

TEST(PostgresToolErrors, TheMessageIsThatOfTheProgram) {
  ExitStatus status;
  status.code = 1;
  status.error_tail = "pg_dump: error: query failed: ERROR:  canceling statement due to statement timeout\n";
  const Status error = PostgresToolError({"/usr/bin/pg_dump"}, status);
  EXPECT_EQ(MessageOf(error), MessageOf(ProcessError({"/usr/bin/pg_dump"}, status)));
  EXPECT_NE(HintOf(error).find("lockWaitTimeout"), std::string::npos);
}

TEST(ServerErrors, TheFirstErrorOfAVerbosePsqlIsFoundInAnyLanguage) {
  const auto english = FirstServerError(
      "WARNING:  01000: database \"shop\" has a collation version mismatch\n"
      "ERROR:  42P01: relation \"a:  b\" does not exist\nLINE 1: COPY a\n             ^\n"
      "LOCATION:  RangeVarGetRelidExtended, namespace.c:433\n"
      "ERROR:  25P02: current transaction is aborted\n");
  ASSERT_TRUE(english.has_value());
  EXPECT_EQ(english->state, "42P01");
  EXPECT_EQ(english->message, "relation \"a:  b\" does not exist");
  const auto german = FirstServerError("psql:<stdin>:7: FEHLER:  22012: Division durch Null\n");
  ASSERT_TRUE(german.has_value());
  EXPECT_EQ(german->state, "22012");
  EXPECT_EQ(german->message, "Division durch Null");
  EXPECT_FALSE(FirstServerError("psql: error: connection to server failed\n").has_value());
  EXPECT_FALSE(FirstServerError("").has_value());
}

TEST(ServerErrors, AStateTellsWhatPassesFromWhatStays) {
  EXPECT_EQ(CodeOfSqlState("57P01"), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOfSqlState("08006"), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOfSqlState("53200"), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOfSqlState("40001"), absl::StatusCode::kAborted);
  EXPECT_EQ(CodeOfSqlState("42P01"), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOfSqlState("XX001"), absl::StatusCode::kInternal);  // damaged pages are no matter of a retry
}

}  // namespace
}  // namespace salvor::agent
