#include "agent/engines/mariadb/tools.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/engines/mariadb/scratch_engine.h"
#include "agent/engines/mariadb/session.h"

namespace salvor::agent {
namespace {

TEST(ToolErrors, AreToldByTheServersNumber) {
  struct Case {
    const char* tail;
    unsigned int number;
  };
  for (
      const Case& one : {
          Case{"ERROR 1062 (23000) at line 45: Duplicate entry 'x' for key 'PRIMARY'\n", 1062},
          Case{
              "mariadb-dump: Got error: 1045: \"Access denied for user 'x'@'localhost'\" when trying to connect\n",
              1045},
          Case{"mariadb-dump: Error 1412: Table definition has changed when dumping table `t` at row: 0\n",
               1412},
          Case{
              "mariadb-dump: Couldn't execute 'SHOW FIELDS FROM `v`': View 'shop.v' references invalid table (1356)\n",
              1356},
          Case{"mariadb-dump: Error: 2013: Lost connection\n", 2013},
          Case{"something else\n", 0},
          Case{"", 0},
      })
    EXPECT_EQ(ErrorNumberIn(one.tail), one.number) << one.tail;
}

TEST(ToolErrors, HoldNoValuesOfRows) {
  ExitStatus status;
  status.code = 1;
  status.error_tail =
      "--------------\nINSERT INTO `t` VALUES\n(1,'secret'),\n(2,'secret')\n--------------\n\nERROR 1062 (23000) at line 45: Duplicate entry 'secret' for key 'PRIMARY'\n";
  const Status error = MariadbToolError({"/usr/bin/mariadb"}, status);
  EXPECT_THAT(MessageOf(error), testing::HasSubstr("ERROR 1062 (23000) at line 45: Duplicate entry"));
  EXPECT_THAT(MessageOf(error), testing::Not(testing::HasSubstr("secret")));
  EXPECT_EQ(WithoutRowValues(1049, "Unknown database 'shop'"), "Unknown database 'shop'");
}

TEST(ToolErrors, SayWhetherAnotherTryIsWorthIt) {
  EXPECT_EQ(CodeOfMariadbError(2013), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOfMariadbError(1205), absl::StatusCode::kAborted);
  EXPECT_EQ(CodeOfMariadbError(1045), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOfMariadbError(1114), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOfMariadbError(1142), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(CodeOfMariadbError(1062), absl::StatusCode::kInternal);
}

TEST(Versions, AreReadFromWhatProgramsSay) {
  EXPECT_EQ(MariadbVersionIn("mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64"),
            101119);
  EXPECT_EQ(MariadbVersionIn("mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu"),
            101119);
  EXPECT_EQ(MariadbVersionIn("mariadb-dump from 11.4.2-MariaDB, client 10.19"), 110402);
  EXPECT_EQ(MariadbVersionIn("nothing"), 0);
  EXPECT_EQ(MariadbVersionText(101119), "10.11.19");
}

TEST(Arguments, LeaveNothingToWhatAnOptionFileSays) {
  const auto arguments = DumpArguments({"shop", "-x"}, true, true);
  EXPECT_THAT(arguments,
              testing::IsSupersetOf({"--single-transaction", "--routines", "--triggers", "--skip-events",
                                     "--hex-blob", "--dump-history", "--master-data=2", "--"}));
  EXPECT_EQ(arguments.back(), "-x");
}

}  // namespace
}  // namespace salvor::agent
