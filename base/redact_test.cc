#include "base/redact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace salvor {
namespace {

using testing::HasSubstr;
using testing::Not;

using Cases = std::vector<std::pair<std::string, std::string>>;

TEST(Redact, PasswordsInUrlsAreHidden) {
  const Cases cases = {
      {"open rest:https://user:hunter2@host/repo", "open rest:https://user:***@host/repo"},
      {"postgres://shop:p@ss@db:5432/shop", "postgres://shop:***@db:5432/shop"},
      {"parse \"https://user:hun/ter2@host\": no", "parse \"https://user:***@host\": no"},
      {"postgres:///shop?user=a&password=hunter2&sslmode=off",
       "postgres:///shop?user=a&password=***&sslmode=off"},
      {"invalid port \":hunter2\" after host", "invalid port \"***\" after host"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(Redact(text), expected);
}

TEST(Redact, ValuesOfSecretKeysAreHiddenInEveryNotation) {
  const Cases cases = {
      {"PGPASSWORD=hunter2 pg_dump", "PGPASSWORD=*** pg_dump"},
      {"PGPASSWORD='hun ter2' pg_dump", "PGPASSWORD=*** pg_dump"},
      {"MYSQL_PWD=a,b;c mysql", "MYSQL_PWD=*** mysql"},
      {"AWS_SECRET_ACCESS_KEY: 'a b'", "AWS_SECRET_ACCESS_KEY: ***"},
      {"AZURE_ACCOUNT_SAS=sv=1&sig=x y", "AZURE_ACCOUNT_SAS=*** y"},
      {"{\"user\": \"a\", \"password\": \"hun\\\"ter2\", \"port\": 1}",
       "{\"user\": \"a\", \"password\": ***, \"port\": 1}"},
      {"{\"tokens\":[\"a\",{\"b\":\"]\"}],\"c\":1}", "{\"tokens\":***,\"c\":1}"},
      {"\"{\\\"password\\\":\\\"hunter2\\\"}\"", "\"{\\\"password\\\":***}\""},
      {"host=db password = 'a b' user=c", "host=db password = *** user=c"},
      {"{password: hunter2, user: c}", "{password: ***, user: c}"},
      {"say \"PGPASSWORD=hunter2\" once", "say \"PGPASSWORD=***\" once"},
      {"--password hunter2 --user a", "--password *** --user a"},
      {"--password=hunter2 --user a", "--password=*** --user a"},
      {"-api-key \"a b\" -x", "-api-key *** -x"},
      {"Authorization: Bearer abc.def", "Authorization: ***"},
      {"curl -H 'Authorization: Basic dXNlcjpw' http://x", "curl -H 'Authorization: ***' http://x"},
      {"{\"authorization\": \"Basic abc\"}", "{\"authorization\": ***}"},
      {"sent Bearer abc123 to it", "sent Bearer *** to it"},
      {"Set-Cookie: a=b; c=d", "Set-Cookie: ***"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(Redact(text), expected);
}

TEST(Redact, SqlPasswordsHashesAndKeysAreHidden) {
  const Cases cases = {
      {"ALTER ROLE a PASSWORD 'it''s';", "ALTER ROLE a PASSWORD '***';"},
      {"create role a encrypted password E'a\\'b' login", "create role a encrypted password E'***' login"},
      {"PASSWORD $x$hunter2$x$; SELECT 1", "PASSWORD ***; SELECT 1"},
      {"OPTIONS (user 'a', password 'b')", "OPTIONS (user 'a', password '***')"},
      {"CREATE USER a IDENTIFIED BY 'b'", "CREATE USER a IDENTIFIED BY '***'"},
      {"hash SCRAM-SHA-256$4096:abc$def:ghi", "hash ***"},
      {"md5d41d8cd98f00b204e9800998ecf8427e.", "***."},
      {"-----BEGIN RSA PRIVATE KEY----- MIIE -----END RSA PRIVATE KEY----- and on",
       "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY----- and on"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(Redact(text), expected);
}

TEST(Redact, WhatIsCutOffIsHiddenToItsEnd) {
  EXPECT_EQ(Redact("\"password\": \"hunter2"), "\"password\": ***");
  EXPECT_EQ(Redact("ALTER ROLE a PASSWORD 'hunter2"), "ALTER ROLE a PASSWORD '***");
  EXPECT_EQ(Redact("https://user:hunter2"), "https://user:***");
  EXPECT_EQ(Redact("DETAIL:  Failing row contains (1, a"), "DETAIL:  Failing row contains (***");
}

TEST(Redact, OrdinaryLinesStayAsTheyAre) {
  for (const char* line :
       {"pg_dump: dumping contents of table \"public.orders\"", "wrong password or no key found",
        "snapshot 1a2b3c4d saved", "open /etc/salvor/password: No such file or directory",
        "Set spec.restic.passwordFile. --password-file /etc/x", "PWD=/root HOME=/",
        "FATAL:  password authentication failed for user \"shop\"", "postgres://a:5432,b:5433/shop",
        "https://host:8000/x@y and [::1]:8000", "psql --no-password -d shop", "the bearer of bad news",
        "ERROR:  duplicate key value violates unique constraint \"users_email_key\"",
        "null value in column \"email\" of relation \"users\" violates not-null constraint",
        "COPY users, line 3, column age: null input",
        "reached maximum value of sequence \"orders_id_seq\" (100)",
        "ALTER TABLE t ADD CHECK ((state)::text = 'new'::text)", "größe \xe2\x82\xac"}) {
    EXPECT_EQ(Redact(line), line);
  }
}

TEST(Redact, RowsOfTheApplicationAreHiddenAndNamesStay) {
  const Cases cases = {
      {"DETAIL:  Failing row contains (1, a b, (x)., null).", "DETAIL:  Failing row contains (***)."},
      {"violates check (Failing row contains (1, a@b).)", "violates check (Failing row contains (***)"},
      {"Key (email)=(x@y) already exists.", "Key (email)=(***) already exists."},
      {"Key (lower(email))=(a) b) is duplicated.", "Key (lower(email))=(***) is duplicated."},
      {"Key (a, b)=(1, 2) is not present in table \"t\".", "Key (a, b)=(***) is not present in table \"t\"."},
      {"Key (r)=([1,2)) conflicts with existing key (r)=([1,3)).",
       "Key (r)=(***) conflicts with existing key (r)=(***)."},
      {"CONTEXT:  COPY t, line 3, column c: \"say \"hi\" to\"",
       "CONTEXT:  COPY t, line 3, column c: \"***\""},
      {"CONTEXT:  COPY t, line 17: \"1\ta\"", "CONTEXT:  COPY t, line 17: \"***\""},
      {"ERROR:  invalid input syntax for type integer: \"abc\"",
       "ERROR:  invalid input syntax for type integer: \"***\""},
      {"invalid input value for enum mood: \"sad\" (exit code 1)",
       "invalid input value for enum mood: \"***\" (exit code 1)"},
      {"value \"99999999999\" is out of range for type integer",
       "value \"***\" is out of range for type integer"},
      {"malformed array literal: \"{a\"", "malformed array literal: \"***\""},
      {"date/time field value out of range: \"2026-13-01\"", "date/time field value out of range: \"***\""},
      {"DETAIL:  Token \"foo\" is invalid.", "DETAIL:  Token \"***\" is invalid."},
      {"CONTEXT:  JSON data, line 1: {\"a\": foo", "CONTEXT:  JSON data, line 1: ***"},
      {"parameters: $1 = 'a', $2 = 'b'", "parameters: $1 = ***"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(Redact(text), expected);
}

// The lines are as RootCause joins them, and the values as the server sends those with newlines in them.
TEST(Redact, TheEndOfARowIsFoundAmongOtherFields) {
  EXPECT_EQ(Redact("pg_restore: error: COPY failed for table \"t\": ERROR:  invalid input syntax for type "
                   "integer: \"x; y\"; CONTEXT:  COPY t, line 1, column a: \"x; y\" (exit code 1)"),
            "pg_restore: error: COPY failed for table \"t\": ERROR:  invalid input syntax for type "
            "integer: \"***\"; CONTEXT:  COPY t, line 1, column a: \"***\" (exit code 1)");
  EXPECT_EQ(RedactText("DETAIL:  Failing row contains (1, (see above).\nNext, x).\nCONTEXT:  COPY t, line 2: "
                       "\"1\ta\nb\"\nHINT:  none"),
            "DETAIL:  Failing row contains (***).\nCONTEXT:  COPY t, line 2: \"***\"\nHINT:  none");
}

TEST(Redact, LinesCanNotFoolATerminal) {
  EXPECT_EQ(Redact("a\x1b[31mb\r\x7f\n"), "a?[31mb???");
  EXPECT_EQ(RedactText("a\nb\tc\x1b"), "a\nb\tc?");
}

TEST(Redact, ALongLineIsCutAfterItsSecretsAreHidden) {
  const std::string line = Redact("password='" + std::string(9000, 'x') + "' " + std::string(9000, 'y'));
  EXPECT_LE(line.size(), 4096u);
  EXPECT_THAT(line, Not(HasSubstr("x")));
}

// Whatever is hidden is hidden again to the same text: a text may pass through more than one gate.
TEST(Redact, TwiceIsOnce) {
  for (const char* text :
       {"PGPASSWORD=hunter2 x", "\"password\": \"x\"", "https://u:p@h/", "Key (a)=(b) already exists.",
        "Failing row contains (1).", "PASSWORD 'x'", "--password x", "Authorization: Bearer x"}) {
    const std::string once = Redact(text);
    EXPECT_EQ(Redact(once), once) << text;
  }
}

// Twice the text costs twice as much, at most: for the text that was quadratic, and for whatever makes a
// scanner look ahead for an end that does not come.
TEST(Redact, TheCostIsLinearInTheText) {
  const auto cost = [](const std::string& piece, size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += piece;
    size_t looked_at = 0;
    (void)RedactText(text, &looked_at);
    return static_cast<double>(looked_at) / static_cast<double>(text.size());
  };
  for (const char* piece : {"a",
                            "a_",
                            "password",
                            "password ",
                            "password=",
                            "password=\"",
                            "password\\",
                            "\"",
                            "'",
                            "\\\"",
                            "://",
                            "a://b:c",
                            "a://b@",
                            "://:",
                            "Key (",
                            ")=(",
                            "Key (a)=(",
                            "Failing row contains (",
                            "COPY t, line 1",
                            ": \"",
                            "\" is ",
                            "; ",
                            "; CONTEXT:  ",
                            "\nCONTEXT",
                            "value \"",
                            "invalid value for ",
                            "bearer ",
                            "PASSWORD '",
                            "PASSWORD $",
                            "identified by '",
                            "$a",
                            "-----BEGIN PRIVATE KEY-----",
                            "--token ",
                            "token: ",
                            "[",
                            "secret: [",
                            "secret={\"",
                            "Authorization: ",
                            "md5",
                            "md5d41d8cd98f00b204e9800998ecf8427",
                            "SCRAM-SHA-256$",
                            ")",
                            ").",
                            ")\n",
                            "\n",
                            "JSON data, line 1: "}) {
    const double once = cost(piece, 20'000), twice = cost(piece, 40'000);
    EXPECT_LE(twice, once * 1.01 + 0.01) << piece;
    EXPECT_LE(twice, 400) << piece;
  }
}

}  // namespace
}  // namespace salvor
