#include "controlplane/tokens/token_registry.h"

#include <gmock/gmock.h>

#include "base/io/files.h"
#include "base/io/sqlite/database.h"
#include "controlplane/store/memory/memory_store.h"
#include "controlplane/store/sqlite/sqlite_store.h"

namespace salvor::controlplane {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::Token Wanted(const std::string& name, const std::string& agent,
                 const std::string& environment = "vps-1") {
  v1::Token token;
  token.set_name(name);
  token.set_kind(v1::TOKEN_KIND_AGENT);
  token.set_environment(environment);
  token.set_agent(agent);
  return token;
}

class TokenRegistryTest : public testing::Test {
 protected:
  void Reload() { registry_ = *TokenRegistry::Load(store_, clock_); }
  std::string Make(const std::string& name, const std::string& agent = "web-1") {
    const auto created = registry_->Create(Wanted(name, agent), "anna");
    EXPECT_TRUE(created.ok()) << created.status();
    return created.ok() ? created->secret : "";
  }

  FakeClock clock_{absl::FromUnixSeconds(1795256100)};
  MemoryStore store_;
  std::unique_ptr<TokenRegistry> registry_ = *TokenRegistry::Load(store_, clock_);
};

TEST_F(TokenRegistryTest, RecognisesWhatItMadeAlsoAfterARestart) {
  const std::string web = Make("web"), db = Make("db", "db-1");
  EXPECT_THAT(web, testing::MatchesRegex("salvor_agent_[0-9a-f]{64}"));
  EXPECT_NE(web, db);
  EXPECT_EQ(registry_->Recognise(web)->name(), "web");
  Reload();
  EXPECT_EQ(registry_->Recognise(web)->name(), "web");
  EXPECT_EQ(registry_->Recognise(db)->agent(), "db-1");
  EXPECT_EQ(registry_->Recognise(db)->created_by(), "anna");
}

TEST_F(TokenRegistryTest, RecognisesNothingElse) {
  const std::string secret = Make("web");
  const auto records = store_.ListTokens();
  for (const std::string& other : {std::string(), std::string("web"), secret + " ", secret.substr(1),
                                   secret.substr(0, secret.size() - 1), (*records)[0].sha256()}) {
    EXPECT_EQ(registry_->Recognise(other).status().code(), absl::StatusCode::kUnauthenticated) << other;
  }
}

TEST_F(TokenRegistryTest, TheStoreHoldsNoToken) {
  std::string directory = testing::TempDir() + "tokensXXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  std::string secret;
  {
    auto store = OpenSqliteStore(directory);
    ASSERT_TRUE(store.ok()) << store.status();
    auto registry = *TokenRegistry::Load(**store, clock_);
    secret = registry->Create(Wanted("web", "web-1"), "anna")->secret;
    registry = *TokenRegistry::Load(**store, clock_);
    EXPECT_EQ(registry->Recognise(secret)->name(), "web");
  }
  const auto bytes = ReadFile(directory + "/salvor.db");
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_THAT(*bytes, HasSubstr("web-1")) << "the record is in this file";
  EXPECT_THAT(*bytes, Not(HasSubstr(secret.substr(sizeof kAgentTokenPrefix))));
  EXPECT_TRUE(RemoveTree(directory).ok());
}

// Whether it was revoked, and for whom it was, is not known any more.
TEST_F(TokenRegistryTest, TheNameOfOneWhoseRecordWasChangedOnTheDiskStaysTaken) {
  std::string directory = testing::TempDir() + "tokensXXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  {
    auto store = OpenSqliteStore(directory);
    ASSERT_TRUE(store.ok()) << store.status();
    ASSERT_TRUE((*TokenRegistry::Load(**store, clock_))->Create(Wanted("web", "web-1"), "anna").ok());
  }
  {
    auto database = SqliteDatabase::Open(directory + "/salvor.db", SqliteDatabase::Mode::kDurable);
    ASSERT_TRUE(database.ok() && (*database)->Execute("UPDATE token SET body = x'0a0164'").ok());
  }
  {
    auto store = OpenSqliteStore(directory);
    ASSERT_TRUE(store.ok()) << store.status();
    const auto registry = *TokenRegistry::Load(**store, clock_);
    EXPECT_EQ(registry->Create(Wanted("web", "web-2"), "mallory").status().code(),
              absl::StatusCode::kAlreadyExists);
    EXPECT_TRUE(registry->Create(Wanted("db", "web-2"), "anna").ok());
  }
  EXPECT_TRUE(RemoveTree(directory).ok());
}

TEST_F(TokenRegistryTest, ARevokedOneIsRefusedAndSaysSoAndItsNameStaysTaken) {
  const std::string web = Make("web"), db = Make("db", "db-1");
  std::vector<std::string> heard;
  registry_->OnRevoked([&](const std::string& name) { heard.push_back(name); });
  clock_.Advance(absl::Hours(1));
  const auto revoked = registry_->Revoke("web", "berta");
  ASSERT_TRUE(revoked.ok()) << revoked.status();
  EXPECT_EQ(revoked->revoked_by(), "berta");
  EXPECT_TRUE(registry_->IsRevoked("web"));
  EXPECT_EQ(MessageOf(registry_->Recognise(web).status()), "the token web was revoked");
  EXPECT_EQ(registry_->Recognise(db)->name(), "db") << "its neighbour stays";
  Reload();
  EXPECT_EQ(registry_->Recognise(web).status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(registry_->Revoke("web", "carl")->revoked_by(), "berta") << "the first word counts";
  EXPECT_THAT(heard, testing::ElementsAre("web"));
  const auto again = registry_->Create(Wanted("web", "web-1"), "anna");
  EXPECT_EQ(again.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(MessageOf(again.status()), HasSubstr("which was revoked"));
  EXPECT_EQ(registry_->List(v1::TOKEN_KIND_UNSPECIFIED).size(), 2u);
  EXPECT_EQ(registry_->Revoke("nobody", "anna").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(TokenRegistryTest, WhatCannotBeIsRefused) {
  EXPECT_FALSE(registry_->Create(Wanted("", "web-1"), "anna").ok());
  EXPECT_FALSE(registry_->Create(Wanted("Web", "web-1"), "anna").ok());
  EXPECT_FALSE(registry_->Create(Wanted("web", ""), "anna").ok());
  EXPECT_FALSE(registry_->Create(Wanted("web", "*-1"), "anna").ok());
  EXPECT_FALSE(registry_->Create(Wanted("web", "web-**"), "anna").ok());
  EXPECT_FALSE(registry_->Create(Wanted("web", "web-1", ""), "anna").ok());
  EXPECT_FALSE(registry_->Create(Wanted("web", "web-1", "vps-*"), "anna").ok());
  v1::Token kindless = Wanted("web", "web-1");
  kindless.clear_kind();
  EXPECT_FALSE(registry_->Create(kindless, "anna").ok());
  EXPECT_TRUE(registry_->List(v1::TOKEN_KIND_UNSPECIFIED).empty());
  for (const char* agent : {"web-1", "node-*", "n*", "*"})
    EXPECT_TRUE(
        registry_->Create(Wanted(fmt::format("t{}", registry_->List(v1::TOKEN_KIND_AGENT).size()), agent), "")
            .ok())
        << agent;
}

v1::Token User(const std::string& name, v1::TokenClass token_class) {
  v1::Token token;
  token.set_name(name);
  token.set_kind(v1::TOKEN_KIND_USER);
  token.set_token_class(token_class);
  return token;
}

TEST_F(TokenRegistryTest, AUsersTokenIsOfAClassAndBoundToNothing) {
  const auto made = registry_->Create(User("anna", v1::TOKEN_CLASS_OPERATE), "root");
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_THAT(made->secret, testing::MatchesRegex("salvor_user_[0-9a-f]{64}"));
  Reload();
  EXPECT_EQ(registry_->Recognise(made->secret)->token_class(), v1::TOKEN_CLASS_OPERATE);
  EXPECT_FALSE(registry_->Create(User("berta", v1::TOKEN_CLASS_UNSPECIFIED), "root").ok());
  EXPECT_FALSE(registry_->Create(User("berta", static_cast<v1::TokenClass>(99)), "root").ok());
  EXPECT_FALSE(registry_->Create(User("salvord", v1::TOKEN_CLASS_VIEW), "root").ok())
      << "it is the maker's name";
  EXPECT_FALSE(registry_->Create(User("anna", v1::TOKEN_CLASS_VIEW), "root").ok()) << "a name is taken once";
  v1::Token bound = User("berta", v1::TOKEN_CLASS_VIEW);
  bound.set_agent("web-1");
  EXPECT_FALSE(registry_->Create(bound, "root").ok());
  v1::Token agent = Wanted("web", "web-1");
  agent.set_token_class(v1::TOKEN_CLASS_ADMINISTER);
  EXPECT_FALSE(registry_->Create(agent, "root").ok()) << "an agent administers nothing";
}

TEST_F(TokenRegistryTest, TheLastAdministratorIsNotRevoked) {
  ASSERT_TRUE(registry_->Create(User("anna", v1::TOKEN_CLASS_ADMINISTER), "root").ok());
  ASSERT_TRUE(registry_->Create(User("carl", v1::TOKEN_CLASS_APPROVE), "root").ok());
  const auto refused = registry_->Revoke("anna", "anna");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(HintOf(refused.status()), HasSubstr("salvor token create NAME --class administer"));
  ASSERT_TRUE(registry_->Create(User("berta", v1::TOKEN_CLASS_ADMINISTER), "anna").ok());
  EXPECT_TRUE(registry_->Revoke("anna", "berta").ok());
  EXPECT_TRUE(registry_->Revoke("anna", "berta").ok()) << "again";
  Reload();
  EXPECT_FALSE(registry_->Revoke("berta", "berta").ok()) << "a revoked one does not count";
  EXPECT_TRUE(registry_->Revoke("carl", "berta").ok()) << "nor does one of another class";
}

TEST_F(TokenRegistryTest, ATokenOfAnotherKindThanTheOneThatIsMeantStays) {
  ASSERT_TRUE(registry_->Create(User("anna", v1::TOKEN_CLASS_VIEW), "root").ok());
  const std::string web = Make("web");
  const Status agents = registry_->Revoke("web", "root", v1::TOKEN_KIND_USER).status();
  EXPECT_EQ(agents.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MessageOf(agents), "the token web is an agent's: nothing was revoked");
  EXPECT_THAT(HintOf(agents), HasSubstr("salvor agent-token revoke web"));
  EXPECT_TRUE(registry_->Recognise(web).ok());
  const Status users = registry_->Revoke("anna", "root", v1::TOKEN_KIND_AGENT).status();
  EXPECT_EQ(users.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(HintOf(users), HasSubstr("salvor token revoke anna"));
  EXPECT_FALSE(registry_->IsRevoked("anna"));
  EXPECT_THAT(HintOf(registry_->Revoke("nobody", "root", v1::TOKEN_KIND_AGENT).status()),
              HasSubstr("salvor agent-token list"));
  EXPECT_TRUE(registry_->Revoke("web", "root", v1::TOKEN_KIND_AGENT).ok());
  EXPECT_TRUE(registry_->Revoke("anna", "root", v1::TOKEN_KIND_USER).ok());
}

TEST(CheckBinding, OneNameOrABeginningAndOneEnvironment) {
  const v1::Token one = Wanted("web", "web-1"), nodes = Wanted("nodes", "node-*"), all = Wanted("all", "*");
  EXPECT_TRUE(CheckBinding(one, "vps-1", "web-1").ok());
  EXPECT_TRUE(CheckBinding(nodes, "vps-1", "node-a").ok());
  EXPECT_TRUE(CheckBinding(nodes, "vps-1", "node-").ok());
  EXPECT_TRUE(CheckBinding(all, "vps-1", "anything").ok());
  for (const char* agent : {"web-2", "web-11", "web-", "web", "", "web-*"})
    EXPECT_EQ(CheckBinding(one, "vps-1", agent).code(), absl::StatusCode::kPermissionDenied) << agent;
  for (const char* agent : {"node", "nod", "my-node-a", ""})
    EXPECT_EQ(CheckBinding(nodes, "vps-1", agent).code(), absl::StatusCode::kPermissionDenied) << agent;
  for (const v1::Token& token : {one, nodes, all})
    EXPECT_EQ(CheckBinding(token, "vps-2", "web-1").code(), absl::StatusCode::kPermissionDenied);
}

TEST(CheckBinding, SaysWhatTheTokenIsForAndWhatToDo) {
  const Status elsewhere = CheckBinding(Wanted("web", "web-1"), "vps-2", "web-1");
  EXPECT_EQ(MessageOf(elsewhere), "token web is for environment vps-1, and the agent serves vps-2");
  EXPECT_THAT(HintOf(elsewhere),
              HasSubstr("salvor agent-token create NAME --environment vps-2 --agent web-1"));
  EXPECT_EQ(MessageOf(CheckBinding(Wanted("web", "web-1"), "vps-1", "db-1")),
            "token web is for the agent web-1, and this is db-1");
  EXPECT_EQ(MessageOf(CheckBinding(Wanted("nodes", "node-*"), "vps-1", "db-1")),
            "token nodes is for agents whose name is like node-*, and this is db-1");
}

}  // namespace
}  // namespace salvor::controlplane
