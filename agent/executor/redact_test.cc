#include "agent/executor/redact.h"

#include <gtest/gtest.h>

namespace salvor::agent {
namespace {

TEST(Redact, SecretsDoNotReachALog) {
  EXPECT_EQ(Redact("open rest:https://user:hunter2@host/repo"), "open rest:https://user:***@host/repo");
  EXPECT_EQ(Redact("PGPASSWORD=hunter2 pg_dump"), "PGPASSWORD=*** pg_dump");
  EXPECT_EQ(Redact("AWS_SECRET_ACCESS_KEY: 'a b'"), "AWS_SECRET_ACCESS_KEY: ***");
  EXPECT_EQ(Redact("ALTER ROLE a PASSWORD 'it''s';"), "ALTER ROLE a PASSWORD '***';");
  EXPECT_EQ(Redact("hash SCRAM-SHA-256$4096:abc$def:ghi"), "hash ***");
}

TEST(Redact, OrdinaryLinesStayAsTheyAre) {
  for (const char* line : {"pg_dump: dumping contents of table \"public.orders\"",
                           "wrong password or no key found", "snapshot 1a2b3c4d saved"}) {
    EXPECT_EQ(Redact(line), line);
  }
}

TEST(Redact, LinesCanNotFoolATerminal) { EXPECT_EQ(Redact("a\x1b[31mb\r"), "a?[31mb?"); }

}  // namespace
}  // namespace salvor::agent
