#include "agent/probes/application_check_actions.h"

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "agent/engines/disk/actions/disk_copies.h"
#include "agent/engines/postgres/actions/actions_testing.h"
#include "agent/engines/postgres/actions/copy_probes.h"

namespace salvor::agent {
namespace {

StatusOr<v1::ActionResult> RunChecks(const v1::ApplicationChecks& action, ActionContext& context) {
  return RunApplicationChecks(action, context, {PostgresCopies(), DiskCopies()});
}

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

  // Answers with the path of the script, which this host allows.
  std::string AddScript(const std::string& script) {
    const std::string directory = Server().Directory() + "/checks";
    EXPECT_TRUE(MakeDirectories(directory).ok());
    std::string path = fmt::format("{}/{}", directory, ++scripts_);
    EXPECT_TRUE(WriteFileAtomically(path, "#!/bin/sh\n" + script + "\n", 0755).ok());
    config_.policy.check_programs.push_back(path);
    AddCommand({path});
    return path;
  }

  // One letter a check: P, F or U.
  std::string Verdicts() {
    result_ = Act(RunChecks, action_);
    if (!result_.ok()) return MessageOf(result_.status());
    std::string letters;
    for (const v1::Check& check : result_->checks()) {
      EXPECT_EQ(check.kind(), "application");
      letters += v1::Check::Verdict_Name(check.verdict())[8];
    }
    return letters;
  }

  int scripts_ = 0;
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
  EXPECT_EQ(Verdicts(), "PFPFFFUUU") << Render(*result_);
  EXPECT_EQ(Server().Value("copy", "SELECT count(*) FROM orders"), "2");
}

TEST_F(ApplicationChecksTest, AWriteIsTriedAndLeavesNothing) {
  AddWrite({"INSERT INTO orders (what) VALUES ('x')", "UPDATE orders SET what = 'y'"}, "app");
  AddWrite({"INSERT INTO orders (what) VALUES (NULL)"});
  AddWrite({"INSERT INTO orders (what) VALUES ('x')"}, "reader");
  AddWrite({"INSERT INTO orders (what) VALUES ('x')", "/* */ CoMmIt"});
  AddWrite({"INSERT INTO orders (what) VALUES ('x'); COMMIT"});
  EXPECT_EQ(Verdicts(), "PFFUU") << Render(*result_);
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
  EXPECT_EQ(Verdicts(), "PPFFUU") << Render(*result_);
  EXPECT_EQ(Server().Value("copy", "SELECT count(*) FROM orders"), "2");
}

// A check program of its own, allowed on this host.
TEST_F(ApplicationChecksTest, ACommandFindsTheCopyAndItsExitCodeIsTheVerdict) {
  AddScript("test \"$(psql -XAtc 'SELECT current_database()')\" = copy");
  AddScript("echo broken >&2; exit 1");
  AddScript("exit 75");
  config_.policy.check_programs.push_back("/usr/bin/sleep");
  AddCommand({"/usr/bin/sleep", "60"}, "200ms");
  AddScript("kill -9 $$");
  AddScript("/opt/a-helper-that-is-not-there");
  EXPECT_EQ(Verdicts(), "PFUUUU") << Render(*result_);
  EXPECT_EQ(result_->checks(1).compared(), "exit code 1: broken");
}

TEST_F(ApplicationChecksTest, ACommandThatTheHostDoesNotAllowIsNotRun) {
  AddCommand({"/usr/bin/touch", Server().Directory() + "/touched"});
  AddCommand({"/nonexistent/program"});
  config_.policy.check_programs.push_back("/bin/sh");  // past the agent's start
  AddCommand({"/bin/sh", "-c", "touch " + Server().Directory() + "/touched"});
  EXPECT_EQ(Verdicts(), "UUU") << Render(*result_);
  EXPECT_FALSE(ReadFile(Server().Directory() + "/touched").ok());
  EXPECT_NE(result_->checks(0).compared().find("--allow-check-program /usr/bin/touch"), std::string::npos);
}

TEST_F(ApplicationChecksTest, ACommandHasNoRightsAndSeesNothingOfTheHost) {
  AddScript("test \"$(id -u)\" != 0 || exit 1; test ! -e /home && test ! -e /root && test ! -e /var/lib");
  AddScript("test \"$(ls -A /tmp)\" = \"$(basename \"$(dirname \"$(dirname \"$0\")\")\")\"");  // itself
  AddScript("! touch /usr/planted 2>/dev/null && ! touch " + Server().Directory() + "/planted 2>/dev/null");
  AddScript(
      "env | grep -v -e ^PG -e ^PATH= -e ^HOME= -e ^TZ= -e ^LC_ALL= -e ^PWD= -e ^SHLVL= -e ^_= && exit 1; exit 0");
  EXPECT_EQ(Verdicts(), "PPPP") << Render(*result_);
  EXPECT_FALSE(ReadFile(Server().Directory() + "/planted").ok());
}

// A broken copy must not pass on the health of what it is a copy of.
TEST_F(ApplicationChecksTest, InARenamedCopyACommandGetsItsNameOrIsUnverifiable) {
  Server().Execute("postgres", "CREATE DATABASE shop");
  AddScript("test \"$(psql -XAtc 'SELECT current_database()')\" = copy");
  const std::string program = AddScript("psql -Xd shop -c 'SELECT 1'");
  for (const char* argument : {"shop", "-dshop", "dbname=shop", "postgresql:///shop?user=x", "--dbname=shop"})
    AddCommand({program, argument});
  AddCommand({program, "workshop"});
  Add().mutable_http()->set_url("http://127.0.0.1:1/");
  AddSql("SELECT 1", "1");
  action_.mutable_application_checks()->mutable_checks()->rbegin()->mutable_sql()->set_database("other");
  const std::string verdicts = Verdicts();
  EXPECT_EQ(verdicts.substr(0, 1), "P") << Render(*result_);
  EXPECT_EQ(verdicts.substr(2, 5), "UUUUU") << Render(*result_);
  EXPECT_EQ(verdicts.substr(8), "UU") << Render(*result_);
}

TEST_F(ApplicationChecksTest, ACommandMayAskForAnyDatabaseOfTheComponent) {
  (*action_.mutable_application_checks()->mutable_database_names())["audit"] = "audit_copy";
  Server().Execute("postgres", "CREATE DATABASE audit_copy");
  AddScript("test \"$PGDATABASE\" = copy");
  action_.mutable_application_checks()->mutable_checks()->rbegin()->mutable_command()->set_database("shop");
  AddScript("test \"$PGDATABASE\" = audit_copy");
  action_.mutable_application_checks()->mutable_checks()->rbegin()->mutable_command()->set_database("audit");
  EXPECT_EQ(Verdicts(), "PP") << Render(*result_);
}

TEST_F(ApplicationChecksTest, InADrillACommandHasTheDrillsIsolationAndHttpIsNotAsked) {
  v1::ApplicationChecks& checks = *action_.mutable_application_checks();
  checks.set_drill(true);
  *checks.mutable_postgres() = Scratch("drill-checks");
  (*checks.mutable_database_names())["shop"] = "postgres";
  AddScript("test $(grep -c : /proc/net/dev) -eq 1");
  AddScript("test \"$(psql -XAtc 'SELECT 1')\" = 1");
  // The server that the copy came from, at its own socket.
  AddScript("! psql -Xh " + Here().connection().socket_directory() + " -U postgres -c 'SELECT 1' postgres");
  Add().mutable_http()->set_url("http://127.0.0.1:1/");
  EXPECT_EQ(Verdicts(), "PPP") << Render(*result_);
  EXPECT_EQ(result_->note(), "not asked in a drill: check 4");
  EXPECT_TRUE(Server().Servers().Remove("drill-checks").ok());
}

// Files of a copy: read-only, and what is not readable without privileges says nothing about the copy.
TEST_F(ApplicationChecksTest, ACommandSeesTheFilesOfTheCopyAlone) {
  const std::string root = Server().Directory() + "/restored";
  ASSERT_TRUE(MakeDirectories(root + "/srv/uploads").ok());
  ASSERT_TRUE(WriteFileAtomically(root + "/srv/uploads/picture", "x", 0644).ok());
  ASSERT_TRUE(WriteFileAtomically(root + "/srv/other", "x", 0644).ok());
  v1::ApplicationChecks& checks = *action_.mutable_application_checks();
  checks.clear_postgres();
  checks.clear_database_names();
  checks.mutable_disk()->set_root(root);
  checks.add_paths("/srv/uploads");
  AddScript("test -f \"$SALVOR_PATH/srv/uploads/picture\"");
  AddScript(
      "test ! -e \"$SALVOR_PATH/srv/other\" && ! touch \"$SALVOR_PATH/srv/uploads/planted\" 2>/dev/null");
  AddScript("test -f \"$SALVOR_PATH/srv/uploads/missing\"");
  EXPECT_EQ(Verdicts(), "PPF") << Render(*result_);
  if (geteuid() == 0) {
    ASSERT_TRUE(WriteFileAtomically(root + "/srv/uploads/größe 100%", "x", 0600).ok());
    EXPECT_EQ(Verdicts(), "PPU") << Render(*result_);
    EXPECT_THAT(result_->checks(2).compared(), testing::HasSubstr("/srv/uploads/größe 100% is not readable"));
  }
  EXPECT_TRUE(RemoveTree(root).ok());
}

TEST_F(ApplicationChecksTest, HttpIsNotAskedForFilesBesideTheirOriginal) {
  v1::ApplicationChecks& checks = *action_.mutable_application_checks();
  checks.clear_postgres();
  checks.clear_database_names();
  checks.add_paths("/srv/uploads");
  Add().mutable_http()->set_url("http://127.0.0.1:1/");
  checks.mutable_disk()->set_root("/srv/copy");
  EXPECT_EQ(Verdicts(), "U") << Render(*result_);
  checks.mutable_disk()->set_root("/");
  EXPECT_EQ(Verdicts(), "F") << Render(*result_) << "nobody answers there, and it was asked";
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
  action_.mutable_application_checks()->clear_database_names();
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
