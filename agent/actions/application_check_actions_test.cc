#include "agent/actions/application_check_actions.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "agent/actions/postgres_actions_testing.h"

namespace salvor::agent {
namespace {

TEST(FirstKeywordTest, CommentsAndSpaceDoNotHideAKeyword) {
  EXPECT_EQ(FirstKeyword("  SELECT 1"), "select");
  EXPECT_EQ(FirstKeyword("-- x\n/* a /* b */ c */ ; COMMIT"), "commit");
  EXPECT_EQ(FirstKeyword("/* never closed"), "");
  EXPECT_EQ(FirstKeyword("--"), "");
}

class ApplicationChecksTest : public PostgresActionsTest {
 protected:
  ApplicationChecksTest() {
    Server().Execute("postgres", "CREATE ROLE app; CREATE ROLE reader");
    Server().Execute("postgres", "CREATE DATABASE copy");
    Server().Execute("copy",
                     "CREATE TABLE orders (id serial PRIMARY KEY, what text NOT NULL);"
                     "INSERT INTO orders (what) VALUES ('a'), ('b'); GRANT SELECT ON orders TO reader;"
                     "GRANT ALL ON orders, orders_id_seq TO app");
    v1::ApplicationChecks& checks = *action_.mutable_application_checks();
    checks.set_component("db");
    *checks.mutable_postgres() = Here();
    (*checks.mutable_database_names())["shop"] = "copy";
  }

  v1::ApplicationCheck& Add() {
    v1::ApplicationCheck& check = *action_.mutable_application_checks()->add_checks();
    check.set_name(fmt::format("check {}", action_.application_checks().checks_size()));
    return check;
  }
  void AddSql(const std::string& query, const std::string& expect, const std::string& role = "") {
    v1::SqlCheck& sql = *Add().mutable_sql();
    sql.set_database("shop");
    sql.set_query(query);
    sql.set_expect(expect);
    sql.set_role(role);
  }
  void AddWrite(const std::vector<std::string>& statements, const std::string& role = "") {
    v1::WriteCheck& write = *Add().mutable_write();
    write.set_database("shop");
    write.set_role(role);
    for (const std::string& statement : statements) write.add_statements(statement);
  }
  void AddPermission(const std::string& role, const std::string& statement,
                     v1::PermissionCheck::Verdict expect) {
    v1::PermissionCheck& permission = *Add().mutable_permission();
    permission.set_database("shop");
    permission.set_role(role);
    permission.set_statement(statement);
    permission.set_expect(expect);
  }
  void AddCommand(const std::vector<std::string>& argv, const std::string& timeout = "") {
    v1::CommandCheck& command = *Add().mutable_command();
    for (const std::string& word : argv) command.add_argv(word);
    command.set_timeout(timeout);
  }

  // One letter a check: P, F or U.
  std::string Verdicts() {
    result_ = Act(RunApplicationChecks, action_);
    if (!result_.ok()) return MessageOf(result_.status());
    std::string letters;
    for (const v1::Check& check : result_->checks()) {
      EXPECT_EQ(check.kind(), "application");
      letters += v1::Check::Verdict_Name(check.verdict())[8];
    }
    return letters;
  }

  v1::Action action_;
  StatusOr<v1::ActionResult> result_ = Internal("not run");
};

TEST_F(ApplicationChecksTest, AQueryIsComparedAsTextAndCannotWrite) {
  AddSql("SELECT count(*) FROM orders", "2");
  AddSql("SELECT count(*) FROM orders", "3");
  AddSql("SELECT count(*) FROM orders", "2", "reader");
  AddSql("SELECT NULL", "");
  AddSql("SELECT 1 WHERE false", "");
  AddSql("INSERT INTO orders (what) VALUES ('x') RETURNING 'done'", "done");
  AddSql("SELECT nothing FROM nowhere", "1");
  AddSql("COMMIT", "");
  AddSql("SELECT 1", "1", "no such role");
  EXPECT_EQ(Verdicts(), "PFPFFFFUF") << Render(*result_);
  EXPECT_EQ(Server().Value("copy", "SELECT count(*) FROM orders"), "2");
}

TEST_F(ApplicationChecksTest, AWriteIsTriedAndLeavesNothing) {
  AddWrite({"INSERT INTO orders (what) VALUES ('x')", "UPDATE orders SET what = 'y'"}, "app");
  AddWrite({"INSERT INTO orders (what) VALUES (NULL)"});
  AddWrite({"INSERT INTO orders (what) VALUES ('x')"}, "reader");
  AddWrite({"INSERT INTO orders (what) VALUES ('x')", "/* */ CoMmIt"});
  AddWrite({"INSERT INTO orders (what) VALUES ('x'); COMMIT"});
  EXPECT_EQ(Verdicts(), "PFFUF") << Render(*result_);
  EXPECT_EQ(Server().Value("copy", "SELECT string_agg(what, '' ORDER BY id) FROM orders"), "ab");
}

TEST_F(ApplicationChecksTest, ADeferredConstraintThatWouldFailAtTheEndFails) {
  Server().Execute("copy", "CREATE TABLE lines (o int REFERENCES orders DEFERRABLE INITIALLY DEFERRED)");
  AddWrite({"INSERT INTO lines VALUES (1)"});
  AddWrite({"INSERT INTO lines VALUES (999)"});
  EXPECT_EQ(Verdicts(), "PF") << Render(*result_);
}

TEST_F(ApplicationChecksTest, OnlyALackOfPermissionCountsAsDenied) {
  const auto allowed = v1::PermissionCheck::VERDICT_ALLOWED, denied = v1::PermissionCheck::VERDICT_DENIED;
  AddPermission("reader", "SELECT * FROM orders", allowed);
  AddPermission("reader", "DELETE FROM orders", denied);
  AddPermission("reader", "DELETE FROM orders", allowed);
  AddPermission("app", "DELETE FROM orders", denied);
  AddPermission("reader", "DELETE FROM no_such_table", denied);
  AddPermission("no such role", "SELECT 1", denied);
  EXPECT_EQ(Verdicts(), "PPFFFF") << Render(*result_);
  EXPECT_EQ(Server().Value("copy", "SELECT count(*) FROM orders"), "2");
}

TEST_F(ApplicationChecksTest, ACommandFindsTheCopyAndItsExitCodeIsTheVerdict) {
  AddCommand({"sh", "-c", "test \"$(psql -XAtc 'SELECT current_database()')\" = copy"});
  AddCommand({"sh", "-c", "echo broken >&2; exit 1"});
  AddCommand({"sh", "-c", "exit 75"});
  AddCommand({"sleep", "60"}, "200ms");
  AddCommand({"/nonexistent/program"});
  const std::string verdicts = Verdicts();
  EXPECT_EQ(verdicts.substr(0, 4), "PFUF") << Render(*result_);
  EXPECT_NE(verdicts.substr(4), "P") << Render(*result_);
  EXPECT_EQ(result_->checks(1).compared(), "exit code 1: broken");
}

TEST_F(ApplicationChecksTest, InADrillACommandHasNoNetworkAndHttpIsNotAsked) {
  action_.mutable_application_checks()->set_drill(true);
  AddCommand({"sh", "-c",
              "test \"$(ls /sys/class/net 2>/dev/null; grep -c : /proc/net/dev)\" && "
              "test $(grep -c : /proc/net/dev) -eq 1"});
  AddCommand({"sh", "-c", "test \"$(psql -XAtc 'SELECT 1')\" = 1"});
  Add().mutable_http()->set_url("http://127.0.0.1:1/");
  EXPECT_EQ(Verdicts(), "PP") << Render(*result_);
  EXPECT_EQ(result_->note(), "not asked in a drill: check 3");
}

// Answers each connection with the same text until it is gone.
class SmallHttpServer {
 public:
  SmallHttpServer() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] {
      for (int client; (client = accept(listener_, nullptr, nullptr)) >= 0; close(client)) {
        char request[4096];
        if (read(client, request, sizeof request) <= 0) continue;
        const std::string answer = "HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\nhealthy";
        EXPECT_EQ(write(client, answer.data(), answer.size()), static_cast<ssize_t>(answer.size()));
      }
    });
  }
  ~SmallHttpServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  std::string Url() const { return fmt::format("http://127.0.0.1:{}/health", port_); }

 private:
  int listener_ = -1, port_ = 0;
  std::thread thread_;
};

TEST_F(ApplicationChecksTest, AnHttpAnswerIsComparedByStatusAndText) {
  SmallHttpServer server;
  const auto add = [this](const std::string& url, int status, const std::string& body) {
    v1::HttpCheck& http = *Add().mutable_http();
    http.set_url(url);
    http.set_expect_status(status);
    http.set_expect_body(body);
  };
  add(server.Url(), 0, "health");
  add(server.Url(), 204, "");
  add(server.Url(), 200, "sick");
  add("http://127.0.0.1:1/", 0, "");
  add("file:///etc/passwd", 0, "");
  EXPECT_EQ(Verdicts(), "PFFFF") << Render(*result_);
}

}  // namespace
}  // namespace salvor::agent
