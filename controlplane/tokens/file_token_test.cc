// The token in the state directory: at the first start, after an upgrade, replaced, revoked.
#include "controlplane/tokens/file_token.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io/files.h"
#include "base/io/sqlite/database.h"
#include "controlplane/store/memory/memory_store.h"
#include "controlplane/store/sqlite/sqlite_store.h"

namespace salvor::controlplane {
namespace {

class FileTokenTest : public testing::Test {
 protected:
  FileTokenTest() : directory_(testing::TempDir() + "filetokenXXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/api.token";
  }
  ~FileTokenTest() override { EXPECT_TRUE(RemoveTree(directory_).ok()); }

  // salvord starts with what the store holds.
  Status Start(Store* store = nullptr) {
    registry_ = *TokenRegistry::Load(store == nullptr ? store_ : *store, clock_);
    return KeepFileToken(*registry_, path_);
  }
  std::string Secret() { return ReadSecretFile(path_).value_or(""); }
  std::string NameOf(const std::string& secret) {
    const auto token = registry_->Recognise(secret);
    return token.ok() ? token->name() : "nobody: " + MessageOf(token.status());
  }
  void MakeAdministrator(const std::string& name) {
    v1::Token token;
    token.set_name(name);
    token.set_kind(v1::TOKEN_KIND_USER);
    token.set_token_class(v1::TOKEN_CLASS_ADMINISTER);
    ASSERT_TRUE(registry_->Create(token, "root").ok());
  }

  FakeClock clock_{absl::FromUnixSeconds(1795256100)};
  MemoryStore store_;
  std::unique_ptr<TokenRegistry> registry_;
  std::string directory_, path_;
};

TEST_F(FileTokenTest, TheFirstStartWritesOneForRoot) {
  ASSERT_TRUE(Start().ok());
  const std::string secret = Secret();
  EXPECT_THAT(secret, testing::MatchesRegex("salvor_user_[0-9a-f]{64}"));
  struct stat status = {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_EQ(NameOf(secret), "root");
  EXPECT_EQ(registry_->Recognise(secret)->token_class(), v1::TOKEN_CLASS_ADMINISTER);
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(Secret(), secret) << "the next start changes nothing";
  EXPECT_EQ(registry_->List(v1::TOKEN_KIND_USER).size(), 1u);
}

TEST_F(FileTokenTest, TheFileOfAnEarlierVersionKeepsWorking) {
  const std::string old(64, 'a');
  ASSERT_TRUE(WriteFileAtomically(path_, old + "\n", 0600).ok());
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(NameOf(old), "root");
  EXPECT_EQ(Secret(), old);
}

TEST_F(FileTokenTest, ANameThatIsTakenStaysWithItsToken) {
  registry_ = *TokenRegistry::Load(store_, clock_);
  v1::Token agent;
  agent.set_name("root");
  agent.set_kind(v1::TOKEN_KIND_AGENT);
  agent.set_environment("vps");
  agent.set_agent("web");
  const std::string agents = registry_->Create(agent, "operator")->secret;
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(NameOf(Secret()), "root-2");
  EXPECT_EQ(registry_->Recognise(agents)->kind(), v1::TOKEN_KIND_AGENT);
}

TEST_F(FileTokenTest, WhenTheFileIsRemovedAnotherTakesItsPlace) {
  ASSERT_TRUE(Start().ok());
  const std::string first = Secret();
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  ASSERT_TRUE(Start().ok());
  EXPECT_NE(Secret(), first);
  EXPECT_EQ(NameOf(Secret()), "root-2");
  EXPECT_EQ(NameOf(first), "nobody: the token root was revoked");
}

TEST_F(FileTokenTest, ARevokedOneStaysRevokedAndComesBackOnlyWhereNobodyElseCouldMakeTokens) {
  ASSERT_TRUE(Start().ok());
  const std::string first = Secret();
  EXPECT_FALSE(registry_->Revoke("root", "root").ok()) << "it is the last";
  MakeAdministrator("anna");
  ASSERT_TRUE(registry_->Revoke("root", "anna").ok());
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(NameOf(first), "nobody: the token root was revoked") << "although it stands in the file";
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(Secret(), "") << "anna is there";
}

// The record's statement that the token was revoked is lost, and the token stands in the file still.
TEST_F(FileTokenTest, ARevokedOneWhoseRecordIsDamagedDoesNotComeBackByItsFile) {
  const std::string store_directory = directory_ + "/store";
  ASSERT_TRUE(MakeDirectories(store_directory, 0700).ok());
  {
    auto store = OpenSqliteStore(store_directory);
    ASSERT_TRUE(store.ok()) << store.status();
    ASSERT_TRUE(Start(store->get()).ok());
    MakeAdministrator("anna");
    ASSERT_TRUE(registry_->Revoke("root", "anna").ok());
    registry_.reset();
  }
  {
    auto database = SqliteDatabase::Open(store_directory + "/salvor.db", SqliteDatabase::Mode::kDurable);
    ASSERT_TRUE(database.ok() &&
                (*database)->Execute("UPDATE token SET body = x'0a0164' WHERE name = 'root'").ok());
  }
  auto store = OpenSqliteStore(store_directory);
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE(Start(store->get()).ok());
  EXPECT_THAT(NameOf(Secret()), testing::StartsWith("nobody: "));
  registry_.reset();
}

TEST_F(FileTokenTest, AFileThatHoldsNoTokenOfPeoplesIsRefused) {
  for (const char* text : {"", "two words\n"}) {
    ASSERT_TRUE(WriteFileAtomically(path_, text, 0600).ok());
    EXPECT_FALSE(Start().ok()) << text;
    EXPECT_TRUE(registry_->List(v1::TOKEN_KIND_UNSPECIFIED).empty()) << text;
  }
  registry_ = *TokenRegistry::Load(store_, clock_);
  v1::Token agent;
  agent.set_name("web");
  agent.set_kind(v1::TOKEN_KIND_AGENT);
  agent.set_environment("vps");
  agent.set_agent("web");
  ASSERT_TRUE(WriteFileAtomically(path_, registry_->Create(agent, "root")->secret + "\n", 0600).ok());
  EXPECT_EQ(Start().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(FileTokenTest, OneThatOthersCanReadIsRefused) {
  ASSERT_TRUE(WriteFileAtomically(path_, std::string(64, 'a') + "\n", 0644).ok());
  EXPECT_FALSE(Start().ok());
}

}  // namespace
}  // namespace salvor::controlplane
