// Agents' tokens: made, shown once or written where only their owner reads, listed, revoked.
#include <sys/stat.h>

#include "tools/cli/testing/cli_fixture.h"

namespace salvor::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class CliTokensTest : public CliTest {
 protected:
  Result Create(const std::vector<std::string>& more = {}, const std::string& name = "web") {
    std::vector<std::string> words = {"agent-token", "create",  name,   "--environment",
                                      "vps-1",       "--agent", "web-1"};
    words.insert(words.end(), more.begin(), more.end());
    return Run(words);
  }
};

TEST_F(CliTokensTest, TheTokenAloneIsOnStdoutSoThatAScriptCanKeepIt) {
  const Result made = Create();
  EXPECT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(made.out, std::string(FakeControl::kMadeToken) + "\n");
  EXPECT_THAT(made.err, HasSubstr("made web; the token is shown this once"));
  EXPECT_THAT(made.err, Not(HasSubstr(FakeControl::kMadeToken)));
  EXPECT_EQ(Create().code, 7) << "a name is taken once";
}

TEST_F(CliTokensTest, AFileHoldsItForItsOwnerAndNothingElseShowsIt) {
  const std::string path = directory_ + "/web.token";
  const Result made = Create({"--output-file", path});
  EXPECT_EQ(made.code, 0) << made.err;
  EXPECT_THAT(made.out + made.err, Not(HasSubstr(FakeControl::kMadeToken)));
  EXPECT_EQ(*ReadSecretFile(path), FakeControl::kMadeToken);
  struct stat status = {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(CliTokensTest, WhereItCannotBeWrittenNoneIsMade) {
  const std::string path = WriteFile("web.token", "of somebody\n");
  const Result exists = Create({"--output-file", path});
  EXPECT_EQ(exists.code, 7) << exists.err;
  EXPECT_THAT(exists.err, HasSubstr("exists, and is not overwritten"));
  EXPECT_EQ(*ReadFile(path), "of somebody\n");
  EXPECT_NE(Create({"--output-file", directory_ + "/nowhere/web.token"}).code, 0);
  EXPECT_EQ(Run({"agent-token", "list", "-o", "name"}).out, "");
}

TEST_F(CliTokensTest, ListsAndRevokes) {
  EXPECT_THAT(Run({"agent-token", "list"}).err, HasSubstr("no tokens of agents were made"));
  Create();
  Create({}, "db");
  EXPECT_EQ(Run({"agent-token", "revoke", "web"}).out, "revoked web\n");
  EXPECT_EQ(Run({"agent-token", "list"}).out,
            "NAME  ENVIRONMENT  AGENT  STATE    CREATED\n"
            "db    vps-1        web-1  valid    -\n"
            "web   vps-1        web-1  revoked  -\n");
  EXPECT_EQ(Run({"agent-token", "list", "-o", "name"}).out, "db\nweb\n");
  EXPECT_THAT(Run({"agent-token", "list", "-o", "json"}).out, HasSubstr("\"kind\": \"Agent\""));
  EXPECT_EQ(Run({"agent-token", "revoke", "nobody"}).code, 6);
}

TEST_F(CliTokensTest, WhatATokenIsForMustBeSaid) {
  EXPECT_EQ(Run({"agent-token", "create", "web"}).code, 2);
  EXPECT_EQ(Run({"agent-token", "create", "web", "--environment", "vps-1"}).code, 2);
  EXPECT_EQ(Run({"agent-token", "create", "--environment", "vps-1", "--agent", "web-1"}).code, 2);
  for (const char* agent : {"*-1", "Web-1", "", "web-"}) {
    const Result wrong = Run({"agent-token", "create", "web", "--environment", "vps-1", "--agent", agent});
    EXPECT_EQ(wrong.code, 2) << agent << wrong.err;
  }
  EXPECT_EQ(Run({"agent-token", "create", "web", "--environment", "vps-*", "--agent", "web-1"}).code, 2);
  EXPECT_EQ(Run({"agent-token", "list", "-o", "name"}).out, "");
}

TEST_F(CliTokensTest, PeoplesTokensHaveAClassAndAListOfTheirOwn) {
  Create();
  const Result made = Run({"token", "create", "anna", "--class", "operate"});
  EXPECT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(made.out, std::string(FakeControl::kMadeToken) + "\n");
  Run({"token", "create", "zoe", "--class", "view", "--output-file", directory_ + "/zoe.token"});
  EXPECT_EQ(*ReadSecretFile(directory_ + "/zoe.token"), FakeControl::kMadeToken);
  EXPECT_EQ(Run({"token", "create", "anna", "--class", "view"}).code, 7) << "a name is taken once";
  EXPECT_EQ(Run({"token", "revoke", "zoe"}).out, "revoked zoe\n");
  EXPECT_EQ(Run({"token", "list"}).out,
            "NAME  CLASS    STATE    CREATED\n"
            "anna  operate  valid    -\n"
            "zoe   view     revoked  -\n");
  EXPECT_EQ(Run({"token", "list", "-o", "name"}).out, "anna\nzoe\n");
  EXPECT_THAT(Run({"token", "list", "-o", "json"}).out, HasSubstr("\"tokenClass\": \"Operate\""));
  EXPECT_EQ(Run({"agent-token", "list", "-o", "name"}).out, "web\n");
}

TEST_F(CliTokensTest, NeitherCommandRevokesTheOthersTokens) {
  Create();
  Run({"token", "create", "anna", "--class", "view"});
  const Result agents = Run({"token", "revoke", "web"});
  EXPECT_EQ(agents.code, 7) << agents.err;
  EXPECT_THAT(agents.err, HasSubstr("hint: "));
  EXPECT_EQ(Run({"agent-token", "revoke", "anna"}).code, 7);
  EXPECT_THAT(Run({"agent-token", "list"}).out, Not(HasSubstr("revoked")));
  EXPECT_THAT(Run({"token", "list"}).out, Not(HasSubstr("revoked")));
  EXPECT_EQ(Run({"agent-token", "revoke", "web"}).code, 0);
  EXPECT_EQ(Run({"token", "revoke", "anna"}).code, 0);
}

TEST_F(CliTokensTest, AWordThatIsNoClassIsNamedWithThoseThatAre) {
  const Result wrong = Run({"token", "create", "anna", "--class", "root"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("'root' is not valid; use one of view, operate, approve, administer"));
}

TEST_F(CliTokensTest, WhereThereAreNoneTheListSaysSo) {
  const Result none = Run({"token", "list"});
  EXPECT_EQ(none.code, 0);
  EXPECT_EQ(none.out, "");
  EXPECT_EQ(none.err, "no tokens of people or programs were made\n");
}

TEST_F(CliTokensTest, AClassMustBeSaidAndBeOne) {
  EXPECT_EQ(Run({"token", "create", "anna"}).code, 2);
  EXPECT_EQ(Run({"token", "create", "--class", "view"}).code, 2);
  for (const char* wrong : {"root", "", "View", "operate,view"})
    EXPECT_EQ(Run({"token", "create", "anna", "--class", wrong}).code, 2) << wrong;
  EXPECT_NE(Run({"token", "create", "Anna", "--class", "view"}).code, 0);
  EXPECT_EQ(Run({"token", "list", "-o", "name"}).out, "");
}

TEST_F(CliTokensTest, WhoMayNotIsToldWhatIsMissing) {
  control_.FailWith(WithHint(
      PermissionDenied("this needs a token of class administer, and anna is of class view"), "Ask someone."));
  const Result refused = Run({"token", "create", "berta", "--class", "view"});
  EXPECT_EQ(refused.code, 5);
  EXPECT_THAT(refused.err, HasSubstr("needs a token of class administer, and anna is of class view"));
  EXPECT_THAT(refused.err, HasSubstr("hint: Ask someone."));
}

}  // namespace
}  // namespace salvor::cli
