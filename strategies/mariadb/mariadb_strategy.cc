#include "strategies/mariadb/mariadb_strategy.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "proto/artifact.h"
#include "strategies/interface/declarations.h"
#include "strategies/interface/scratch_folder.h"
#include "strategies/interface/steps.h"

namespace salvor::strategies {
namespace {

constexpr char kEngine[] = "mariadb";  // the kind of a drill's server
constexpr char kServerTitle[] = "this MariaDB server";
constexpr int kDefaultPort = 3306;
constexpr int kQuickStepTimeout_s = 600;
constexpr size_t kLongestName = 64;

std::string ServerName(const v1::MariadbConnection& connection) {
  if (connection.host().empty()) return connection.socket();
  return fmt::format("{}:{}", connection.host(), connection.port() == 0 ? kDefaultPort : connection.port());
}

bool IsLocal(const v1::MariadbConnection& connection) {
  const std::string& host = connection.host();
  return host.empty() || host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

std::string ServerKey(const std::string& word, const std::string& environment,
                      const v1::Component& component) {
  const v1::MariadbConnection& connection = component.mariadb().connection();
  const std::string host = IsLocal(connection) && !component.host().empty() ? component.host() + "/" : "";
  return fmt::format("{}:{}/{}{}", word, environment, host, ServerName(connection));
}

void ValidateConnection(const v1::MariadbConnection& connection, Problems* problems) {
  const std::string field = "mariadb.connection";
  if (connection.host().empty() == connection.socket().empty()) {
    const std::string message = "needs either socket or host";
    connection.host().empty() ? problems->AddIncomplete(field, message)
                              : problems->Add(field, message + ", not both");
  }
  problems->CheckPath(field + ".socket", connection.socket());
  if (!connection.host().empty()) {
    problems->CheckWord(field + ".host", connection.host(), "host");
    if (connection.host().find_first_of("/, ") != std::string::npos)
      problems->Add(field + ".host", "must be one host name or address");
  }
  if (connection.port() < 0 || connection.port() > 65535)
    problems->Add(field + ".port", "must be from 1 to 65535");
  if (!connection.user().empty()) problems->CheckWord(field + ".user", connection.user(), "user");
  problems->CheckSecretFile(field + ".passwordFile", connection.password_file());
  problems->CheckPath(field + ".tlsCa", connection.tls_ca());
  static const std::set<std::string> kTls = {"", "disable", "require", "verify"};
  if (kTls.count(connection.tls()) == 0) problems->Add(field + ".tls", "must be disable, require or verify");
}

void ValidateDatabases(const v1::MariadbComponent& mariadb, Problems* problems) {
  static const std::set<std::string> kOwn = {"mysql", "information_schema", "performance_schema", "sys"};
  if (mariadb.databases().empty())
    problems->AddIncomplete("mariadb.databases", "needs at least one database");
  std::set<std::string> names;
  for (int i = 0; i < mariadb.databases_size(); ++i) {
    const std::string& name = mariadb.databases(i);
    const std::string field = fmt::format("mariadb.databases[{}]", i);
    problems->CheckWord(field, name, "database");
    if (name.size() > kLongestName * 4)
      problems->Add(field, fmt::format("is longer than {} characters", kLongestName));
    if (kOwn.count(name) > 0)
      problems->Add(field, "is the server's own; accounts are kept with every backup");
    if (!names.insert(name).second)
      problems->Add(field, fmt::format("'{}' stands here twice", CleanText(name)));
  }
}

bool IsAmong(const v1::Component& component, const std::string& database) {
  const auto& databases = component.mariadb().databases();
  return std::find(databases.begin(), databases.end(), database) != databases.end();
}

// The questions that a copy can be asked by SQL. A permission can't be tried: nobody acts as another account in MariaDB.
bool ValidateProbe(const v1::Component& component, const v1::ApplicationCheck& check,
                   const std::string& field, Problems* problems) {
  const auto check_database = [&](const std::string& probe, const std::string& database) {
    const std::string at = fmt::format("{}.{}.database", field, probe);
    if (database.empty()) {
      problems->Add(at, "is missing");
    } else if (!IsAmong(component, database)) {
      problems->AddIncomplete(
          at, fmt::format("'{}' is not among the component's databases", CleanText(database)));
    }
  };
  switch (check.probe_case()) {
    case v1::ApplicationCheck::kSql:
      check_database("sql", check.sql().database());
      if (Trim(check.sql().query()).empty()) problems->Add(field + ".sql.query", "is missing");
      return true;
    case v1::ApplicationCheck::kWrite:
      check_database("write", check.write().database());
      if (check.write().statements().empty())
        problems->Add(field + ".write.statements", "needs at least one statement");
      return true;
    case v1::ApplicationCheck::kCommand:
      check_database("command", check.command().database());
      return true;
    default:
      return false;
  }
}

// FindArtifact goes by kinds, which are complete: this one goes by the names that the backup gives.
const v1::Artifact* FindNamed(const v1::Manifest& manifest, const std::string& component,
                              const std::string& name) {
  for (const v1::Artifact& artifact : manifest.artifacts()) {
    if (artifact.component() == component && artifact.name() == name) return &artifact;
  }
  return nullptr;
}

std::string DescribeDump(const v1::Artifact& dump) {
  const v1::Artifact::Contents contents = ContentsOf(dump);
  return DescribeArtifact(dump, {HumanBytes(dump.bytes()), CountOf(CountIn(contents, "table"), "table"),
                                 CountOf(CountIn(contents, "row"), "row")});
}

// The number of the component among those of its kind: each has a server of its own in a drill, for accounts are a
// server's.
int NumberOf(const v1::Component& component, const v1::Manifest& manifest, int* all) {
  int number = 1;
  for (const v1::Component& one : manifest.components()) {
    if (!one.has_mariadb()) continue;
    ++*all;
    if (one.name() == component.name()) number = *all;
  }
  return number;
}

class RestorePlanner {
 public:
  RestorePlanner(const v1::Component& component, const RestoreRequest& request)
      : component_(component), request_(request), manifest_(*request.manifest), name_(component.name()) {}

  StatusOr<Fragment> Plan() {
    dump_ = FindNamed(manifest_, name_, name_ + ".dump");
    details_ = FindNamed(manifest_, name_, name_ + ".dump.details");
    if (dump_ == nullptr || details_ == nullptr) {
      fragment_.missing.push_back(MakeMissing(manifest_, name_, "databases"));
      return std::move(fragment_);
    }
    RETURN_IF_ERROR(ChooseTarget());
    AddSteps();
    AddEffects();
    AddApplicationChecks();
    return std::move(fragment_);
  }

 private:
  Status ChooseTarget() {
    if (request_.drill) {
      int all = 0;
      const int number = NumberOf(component_, manifest_, &all);
      target_.set_scratch(ScratchServerName(request_, kEngine, number));
      server_ = "the scratch server" + (all > 1 ? " of " + name_ : std::string());
      key_ = "mariadb-restore:" + target_.scratch();
      fragment_.scratch.push_back(ScratchServer(request_, kEngine, number, all > 1 ? name_ : "",
                                                dump_->mariadb().server_version_num(), 2 * dump_->bytes()));
      return OkStatus();
    }
    if (!request_.to || !request_.to->has_mariadb())
      return FailedPrecondition("there is no server to restore component '{}' to", name_);
    *target_.mutable_connection() = request_.to->mariadb().connection();
    server_ = ServerName(target_.connection());
    const std::string& environment =
        request_.environment.empty() ? manifest_.environment() : request_.environment;
    key_ = ServerKey("mariadb-restore", environment, *request_.to);
    return OkStatus();
  }

  v1::Step NewStep(const std::string& verb, v1::Purpose purpose, const std::string& title) const {
    v1::Step step = MakeStep(name_ + "." + verb, purpose, name_, title);
    UseLocation(&step, request_.location);
    return step;
  }

  void AddSteps() {
    v1::Step guard = NewStep("check-target", v1::PURPOSE_GUARD, "check target server");
    v1::MariadbTargetCheck* check = guard.mutable_action()->mutable_mariadb_target_check();
    *check->mutable_target() = target_;
    *check->mutable_location() = request_.location;
    *check->mutable_details() = ForAction(*details_);
    Retry(&guard, 3, 2, 30);
    SetAttemptTimeout(&guard, kQuickStepTimeout_s);

    v1::Step restore = NewStep("restore", v1::PURPOSE_RESTORE, "restore accounts and databases");
    v1::MariadbRestore* action = restore.mutable_action()->mutable_mariadb_restore();
    *action->mutable_target() = target_;
    *action->mutable_location() = request_.location;
    *action->mutable_dump() = ForAction(*dump_);
    *action->mutable_details() = ForAction(*details_);
    action->set_run(request_.run);
    UseKey(&restore, key_, 1, kServerTitle);
    Retry(&restore, 3, 10, 120);

    v1::Step verify = NewStep("verify", v1::PURPOSE_VERIFY, "verify databases");
    v1::MariadbVerify* compare = verify.mutable_action()->mutable_mariadb_verify();
    *compare->mutable_target() = target_;
    *compare->mutable_location() = request_.location;
    *compare->mutable_details() = ForAction(*details_);
    After(&verify, restore.id());
    UseKey(&verify, key_, 1, kServerTitle);
    Retry(&verify, 3, 10, 120);

    fragment_.steps.push_back(std::move(guard));
    fragment_.steps.push_back(std::move(restore));
    fragment_.steps.push_back(std::move(verify));
  }

  void AddEffects() {
    fragment_.effects.push_back(MakeEffect("create", "accounts that are missing", "on " + server_));
    fragment_.effects.push_back(
        MakeEffect("keep", "accounts that exist", fmt::format("on {}, as they are", server_)));
    for (const std::string& database : component_.mariadb().databases()) {
      fragment_.destinations.push_back({fmt::format("mariadb {}{}", target_.scratch(), server_), database,
                                        false, fmt::format("database '{}' to the same server", database),
                                        "Restore them to two servers.", IsLocal(target_.connection())});
      fragment_.effects.push_back(
          MakeEffect("create", "database " + database,
                     fmt::format("on {}, from dump {}", server_, DescribeDump(*dump_))));
    }
    if (request_.drill) return;
    fragment_.effects.push_back(
        MakeEffect("check", "these databases",
                   fmt::format("must not exist on {} yet, or the restore is refused", server_)));
    fragment_.effects.push_back(MakeEffect(
        "enable", "their events", "once the copy was found equal, each as it was; disabled until then"));
  }

  // After the comparison: rows that an application's own check writes must not look like a difference.
  void AddApplicationChecks() {
    const v1::Component& declares = request_.to ? *request_.to : component_;
    if (declares.checks().empty()) return;
    v1::Step step = MakeStep(name_ + ".application-checks", v1::PURPOSE_CHECK, name_,
                             fmt::format("run {}", CountOf(declares.checks_size(), "application check")));
    v1::ApplicationChecks* action = step.mutable_action()->mutable_application_checks();
    action->set_component(name_);
    *action->mutable_checks() = declares.checks();
    action->set_drill(request_.drill);
    *action->mutable_mariadb() = target_;
    After(&step, name_ + ".restore");
    After(&step, name_ + ".verify", v1::Edge::CONDITION_FINISHED);
    Retry(&step, 2, 5, 30);
    fragment_.steps.push_back(std::move(step));
  }

  const v1::Component& component_;
  const RestoreRequest& request_;
  const v1::Manifest& manifest_;
  const std::string& name_;
  const v1::Artifact* dump_ = nullptr;
  const v1::Artifact* details_ = nullptr;
  v1::MariadbTarget target_;
  std::string server_, key_;
  Fragment fragment_;
};

}  // namespace

// The two ways to reach a server exclude each other: the one that is laid over replaces the other.
void MariadbStrategy::PrepareOverlay(const v1::Component& top, v1::Component* base) const {
  const v1::MariadbConnection& connection = top.mariadb().connection();
  if (!connection.host().empty()) base->mutable_mariadb()->mutable_connection()->clear_socket();
  if (!connection.socket().empty()) base->mutable_mariadb()->mutable_connection()->clear_host();
}

std::vector<FieldProblem> MariadbStrategy::Validate(const v1::Component& component) const {
  Problems problems;
  const v1::MariadbComponent& mariadb = component.mariadb();
  ValidateConnection(mariadb.connection(), &problems);
  ValidateDatabases(mariadb, &problems);
  problems.CheckDuration("mariadb.expectations.countBudget", mariadb.expectations().count_budget(), true);
  problems.CheckDuration("mariadb.lockWait", mariadb.lock_wait(), false);
  problems.CheckDuration("mariadb.lockHold", mariadb.lock_hold(), false);
  const auto probes = [&component](const v1::ApplicationCheck& check, const std::string& field,
                                   Problems* found) { return ValidateProbe(component, check, field, found); };
  ValidateChecks(component, probes, &problems);
  return problems.Take();
}

StatusOr<Fragment> MariadbStrategy::Backup(const v1::Component& component,
                                           const BackupRequest& request) const {
  Fragment fragment;
  const std::string& name = component.name();
  const std::string server = ServerName(component.mariadb().connection());

  v1::Step preflight = MakeStep(name + ".preflight", v1::PURPOSE_PREFLIGHT, name, "check server");
  *preflight.mutable_action()->mutable_mariadb_preflight()->mutable_component() = component.mariadb();
  Retry(&preflight, 3, 2, 30);
  SetAttemptTimeout(&preflight, kQuickStepTimeout_s);

  v1::Step step = MakeStep(name + ".dump", v1::PURPOSE_CAPTURE, name, "dump databases");
  v1::MariadbDump* dump = step.mutable_action()->mutable_mariadb_dump();
  *dump->mutable_component() = component.mariadb();
  *dump->mutable_target() = MakeTarget(request.location, request.backup, name, step.id());
  After(&step, preflight.id());
  UseLocation(&step, request.location);
  UseKey(&step, ServerKey("mariadb", request.environment, component), 1, kServerTitle);
  Retry(&step, 3, 10, 120);

  v1::PlannedArtifact planned;
  planned.set_step(step.id());
  planned.set_component(name);
  planned.set_artifact(step.id());
  planned.set_title("databases");
  fragment.artifacts.push_back(std::move(planned));
  for (const std::string& database : component.mariadb().databases())
    fragment.effects.push_back(MakeEffect("read", "database " + database, "on " + server));
  fragment.effects.push_back(MakeEffect("read", "accounts", "on " + server));
  fragment.effects.push_back(MakeEffect(
      "lock", "writers",
      fmt::format("on {}, for a moment: waited for at most {}, held at most {}", server,
                  component.mariadb().lock_wait().empty() ? "2s" : component.mariadb().lock_wait(),
                  component.mariadb().lock_hold().empty() ? "500ms" : component.mariadb().lock_hold())));
  fragment.steps.push_back(std::move(preflight));
  fragment.steps.push_back(std::move(step));
  return fragment;
}

StatusOr<Fragment> MariadbStrategy::Restore(const v1::Component& component,
                                            const RestoreRequest& request) const {
  return RestorePlanner(component, request).Plan();
}

}  // namespace salvor::strategies
