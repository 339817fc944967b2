#include "agent/engines/postgres/restore_failures.h"

#include <gtest/gtest.h>

#include "agent/engines/postgres/server_errors.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

// The words of pg_restore 15 about a dump with three faults.
constexpr char kSaid[] = R"(pg_restore: connecting to database for restore
pg_restore: creating TABLE "public.t2"
pg_restore: processing data for table "public.t2"
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 3425; 0 16393 TABLE DATA t2 postgres
pg_restore: error: COPY failed for table "t2": ERROR:  new row for relation "t2" violates check constraint "t2_v_check"
DETAIL:  Failing row contains (1, 2026-11-26 00:46:30.443667+00).
CONTEXT:  COPY t2, line 1: "1	2026-11-26 00:46:30.443667+00"
pg_restore: creating FK CONSTRAINT "public.child child p"
pg_restore: from TOC entry 3280; 2606 16409 FK CONSTRAINT child child p postgres
pg_restore: error: could not execute query: ERROR:  insert or update on table "child" violates foreign key constraint "child p"
DETAIL:  Key (p)=(99) is not present in table "parent".
Command was: ALTER TABLE ONLY public.child
    ADD CONSTRAINT "child p" FOREIGN KEY (p) REFERENCES public.parent(id);
pg_restore: error: could not execute query: FEHLER:  Relation »public.child« existiert nicht
pg_restore: creating MATERIALIZED VIEW DATA "public.mv"
pg_restore: from TOC entry 3428; 0 16415 MATERIALIZED VIEW DATA mv postgres
pg_restore: error: could not execute query: ERROR:  no such shop
HINT:  x
Command was: REFRESH MATERIALIZED VIEW public.mv;
)";

RestoreErrors ErrorsOf(const std::string& said) {
  RestoreErrors errors;
  for (const std::string& line : Split(said, '\n')) errors.AddLine(line);
  return errors;
}

TEST(RestoreErrors, AreKnownByTheirEntries) {
  const RestoreErrors errors =
      ErrorsOf(std::string(kSaid) + "pg_restore: warning: errors ignored on restore: 4\n");
  ASSERT_EQ(errors.All().size(), 4u);
  EXPECT_EQ(errors.All()[0].entry, 3425);
  EXPECT_EQ(errors.All()[1].entry, 3280);
  EXPECT_EQ(errors.All()[2].entry, 3280) << "an entry is named before its first error only";
  EXPECT_EQ(errors.All()[3].entry, 3428);
  EXPECT_TRUE(errors.ReachedEnd());
  EXPECT_EQ(ServersWords(errors.All()[0].error),
            "new row for relation \"t2\" violates check constraint \"t2_v_check\"");
  EXPECT_EQ(ServersWords(errors.All()[2].error), "Relation »public.child« existiert nicht");
  EXPECT_EQ(ServersWords(errors.All()[3].error), "no such shop");
}

TEST(RestoreErrors, OnlyACountThatMatchesIsAnEnd) {
  EXPECT_FALSE(ErrorsOf(kSaid).ReachedEnd()) << "it ended at its last error, whatever comes after";
  EXPECT_FALSE(
      ErrorsOf(std::string(kSaid) + "pg_restore: warning: errors ignored on restore: 5\n").ReachedEnd())
      << "there was one that nobody saw";
  const RestoreErrors early =
      ErrorsOf("pg_restore: while INITIALIZING:\npg_restore: error: could not execute query: x\n");
  ASSERT_EQ(early.All().size(), 1u);
  EXPECT_EQ(early.All()[0].entry, 0);
}

TEST(RestoreErrors, WhatIsWellIsNothingForALog) {
  std::string kept;
  for (const std::string& line : Split(kSaid, '\n')) {
    if (!IsVerboseLine(line)) kept += line + "\n";
  }
  EXPECT_EQ(kept.find("creating"), std::string::npos);
  EXPECT_EQ(kept.find("processing data"), std::string::npos);
  EXPECT_NE(kept.find("from TOC entry 3428"), std::string::npos);
  EXPECT_NE(kept.find("HINT:  x\nCommand was: REFRESH"), std::string::npos);
}

TEST(RestoreErrors, EntriesHaveTitlesForPeople) {
  EXPECT_EQ(TitleOfEntry("TABLE DATA", "public", "t2"), "rows of table public.t2");
  EXPECT_EQ(TitleOfEntry("FK CONSTRAINT", "public", "child child p"), "foreign key public.child child p");
  EXPECT_EQ(TitleOfEntry("MATERIALIZED VIEW DATA", "we ird", "mv"), "rows of materialized view we ird.mv");
  EXPECT_EQ(TitleOfEntry("COMMENT", "public", "MATERIALIZED VIEW mv"),
            "comment on materialized view public.mv");
  EXPECT_EQ(TitleOfEntry("COMMENT", "", "EXTENSION pg_trgm"), "comment on extension pg_trgm");
  EXPECT_EQ(TitleOfEntry("ACL", "public", "TABLE T"), "grants on table public.T");
  EXPECT_EQ(TitleOfEntry("EXTENSION", "", "postgis"), "extension postgis");
  EXPECT_EQ(TitleOfEntry("BLOBS", "", "BLOBS"), "content of large objects");
}

TEST(RestoreErrors, AServerThatIsInTheWayRefusesNothing) {
  for (const char* error :
       {"could not execute query: FATAL:  terminating connection due to administrator command",
        "could not execute query: no connection to the server",
        "could not execute query: ERROR:  out of shared memory",
        "COPY failed for table \"t\": ERROR:  could not extend file \"base/5/1\": No space left on device",
        "could not execute query: ERROR:  deadlock detected"}) {
    EXPECT_TRUE(SaysServerWasInTheWay(error)) << error;
  }
  for (const char* error :
       {"could not execute query: ERROR:  no such shop",
        "could not execute query: ERROR:  function f() does not exist",
        "could not execute query: ERROR:  could not open relation with OID 77",
        "could not execute query: ERROR:  permission denied to create extension \"dblink\"",
        "COPY failed for table \"t\": ERROR:  new row for relation \"t\" violates check constraint \"c\"",
        "could not execute query: FEHLER:  Relation »t« existiert nicht"}) {
    EXPECT_FALSE(SaysServerWasInTheWay(error)) << error;
  }
}

}  // namespace
}  // namespace salvor::agent
