#include "agent/engines/postgres/cluster_secret.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/io/files.h"
#include "salvor/v1/action.pb.h"

namespace salvor::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class ClusterSecrets : public testing::Test {
 protected:
  ClusterSecrets() : folder_(testing::TempDir() + "secretsXXXXXX") {
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
    Name(action_.mutable_postgres_dump()->mutable_component()->mutable_connection());
  }
  ~ClusterSecrets() override { EXPECT_TRUE(RemoveTree(folder_).ok()); }

  static void Name(v1::PostgresConnection* connection) {
    connection->set_host("db.shop.svc");
    connection->mutable_secret()->set_name("login");
    connection->mutable_secret()->set_namespace_("shop");
    connection->mutable_secret()->set_user_key("user");
  }
  Status Put() {
    return PutSecretsInPlace(
        action_,
        [this](const std::string& name_space,
               const std::string& name) -> StatusOr<std::map<std::string, std::string>> {
          asked_.push_back(name_space + "/" + name);
          return values_;
        },
        folder_);
  }
  const v1::PostgresConnection& Connection() const {
    return action_.postgres_dump().component().connection();
  }

  std::string folder_;
  v1::Action action_;
  std::map<std::string, std::string> values_ = {{"user", "backup"}, {"password", "ge:he\\im\n"}};
  std::vector<std::string> asked_;
};

TEST_F(ClusterSecrets, BecomeARoleAndAPasswordFile) {
  ASSERT_TRUE(Put().ok());
  EXPECT_THAT(asked_, ElementsAre("shop/login"));
  EXPECT_EQ(Connection().user(), "backup");
  EXPECT_FALSE(Connection().has_secret());
  EXPECT_EQ(*ReadFile(Connection().passfile()), "*:*:*:*:ge\\:he\\\\im\n") << "the file's last line end goes";
  struct stat facts {};
  ASSERT_EQ(::stat(Connection().passfile().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u) << "libpq takes no other";
  EXPECT_THAT(action_.DebugString(), Not(HasSubstr("he\\\\im"))) << "the action holds none of it";
}

TEST_F(ClusterSecrets, AreFoundWhereverAConnectionIs) {
  v1::Action restore;
  Name(restore.mutable_postgres_restore()->mutable_target()->mutable_connection());
  action_ = restore;
  ASSERT_TRUE(Put().ok());
  EXPECT_EQ(action_.postgres_restore().target().connection().user(), "backup");
  action_.Clear();
  action_.mutable_postgres_verify()->mutable_target()->set_scratch("drill");
  asked_.clear();
  ASSERT_TRUE(Put().ok());
  EXPECT_TRUE(asked_.empty());
}

TEST_F(ClusterSecrets, TakeTheDeclaredRoleAndKey) {
  v1::PostgresConnection* connection =
      action_.mutable_postgres_dump()->mutable_component()->mutable_connection();
  connection->set_user("postgres");
  connection->mutable_secret()->clear_user_key();
  connection->mutable_secret()->set_password_key("POSTGRES_PASSWORD");
  values_ = {{"POSTGRES_PASSWORD", "geheim"}};
  ASSERT_TRUE(Put().ok());
  EXPECT_EQ(Connection().user(), "postgres");
}

TEST_F(ClusterSecrets, GoToNoServerOutsideOfTheirNamespace) {
  for (const char* host : {"db.mail.svc", "evil.example", "", "shop.svc", ".shop.svc", "db.evil.shop.svc",
                           "db.shop.svc.evil", "a,db.shop.svc", "db.shop.svc,evil"}) {
    v1::PostgresConnection* connection =
        action_.mutable_postgres_dump()->mutable_component()->mutable_connection();
    connection->set_host(host);
    EXPECT_EQ(Put().code(), absl::StatusCode::kFailedPrecondition) << host;
    EXPECT_THAT(asked_, testing::IsEmpty()) << host << ": it is not even read";
  }
}

TEST_F(ClusterSecrets, AreRefusedByKeyAndNeverShown) {
  struct Row {
    std::map<std::string, std::string> values;
    const char* why;
  };
  const Row table[] = {
      {{{"user", "backup"}}, "the Secret shop/login has no key 'password'"},
      {{{"user", ""}, {"password", "geheim"}}, "the Secret shop/login has nothing at its key 'user'"},
      {{{"user", "backup"}, {"password", "geheim\nhost:*"}}, "key 'password' is more than one line"},
      {{{"user", "backup"}, {"password", std::string("geheim\0x", 8)}},
       "key 'password' is more than one line"},
  };
  for (const Row& row : table) {
    values_ = row.values;
    const Status put = Put();
    EXPECT_EQ(put.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(MessageOf(put), HasSubstr(row.why));
    EXPECT_THAT(MessageOf(put), Not(HasSubstr("geheim")));
  }
}

}  // namespace
}  // namespace salvor::agent
