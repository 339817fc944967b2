#include "strategies/postgres/postgres_strategy.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/names.h"
#include "base/text.h"
#include "proto/artifact.h"
#include "strategies/interface/declarations.h"
#include "strategies/interface/scratch_folder.h"
#include "strategies/interface/steps.h"
#include "strategies/postgres/on_cluster.h"
#include "strategies/postgres/server.h"
#include "strategies/postgres/sql_probes.h"

namespace salvor::strategies {
namespace {

constexpr char kEngine[] = "postgres";  // the kind of a drill's server
constexpr char kServerTitle[] = "this PostgreSQL server";
constexpr int kQuickStepTimeout_s = 600;
constexpr int kDatabasesPerTargetCheck = 50;  // keeps the payload well below its limit

std::vector<std::string> DatabasesOf(const v1::Component& component) {
  return {component.postgres().databases().begin(), component.postgres().databases().end()};
}

std::string ServerKey(const std::string& word, const std::string& environment,
                      const v1::Component& component) {
  return fmt::format("{}:{}/{}", word, environment, ServerIn(component));
}

void ValidateConnection(const v1::PostgresConnection& connection, Problems* problems) {
  const std::string field = "postgres.connection";
  ValidateServiceAndSecret(connection, problems);
  if (connection.service().empty() && connection.host().empty() == connection.socket_directory().empty()) {
    const std::string message = "needs either socketDirectory or host";
    connection.host().empty() ? problems->AddIncomplete(field, message)
                              : problems->Add(field, message + ", not both");
  }
  problems->CheckPath(field + ".socketDirectory", connection.socket_directory());
  if (!connection.host().empty()) {
    problems->CheckWord(field + ".host", connection.host(), "host");
    if (connection.host().find_first_of("/, ") != std::string::npos) {
      problems->Add(field + ".host", "must be one host name or address");
    }
  }
  if (connection.port() < 0 || connection.port() > 65535)
    problems->Add(field + ".port", "must be from 1 to 65535");
  if (!connection.user().empty()) problems->CheckWord(field + ".user", connection.user(), "user");
  problems->CheckSecretFile(field + ".passfile", connection.passfile());
  static const std::vector<std::string> kSslModes = {"",        "disable",   "allow",      "prefer",
                                                     "require", "verify-ca", "verify-full"};
  if (std::find(kSslModes.begin(), kSslModes.end(), connection.sslmode()) == kSslModes.end()) {
    problems->Add(field + ".sslmode", "must be disable, allow, prefer, require, verify-ca or verify-full");
  }
  if (!connection.maintenance_database().empty()) {
    problems->Check(field + ".maintenanceDatabase", CheckDatabaseName(connection.maintenance_database()));
  }
}

void ValidateDatabases(const v1::PostgresComponent& postgres, Problems* problems) {
  if (postgres.databases().empty())
    problems->AddIncomplete("postgres.databases", "needs at least one database");
  std::set<std::string> names;
  for (int i = 0; i < postgres.databases_size(); ++i) {
    const std::string& name = postgres.databases(i);
    const std::string field = fmt::format("postgres.databases[{}]", i);
    problems->Check(field, CheckDatabaseName(name));
    if (name == "template0") problems->Add(field, "template0 takes no connections and cannot be dumped");
    if (!names.insert(name).second)
      problems->Add(field, fmt::format("'{}' stands here twice", CleanText(name)));
  }
}

void ValidateCapture(const v1::PostgresComponent& postgres, Problems* problems) {
  const std::string field = "postgres.dumpDirectory";
  problems->CheckPath(field, postgres.dump_directory());
  if (postgres.capture() == v1::CAPTURE_VOLUME && postgres.dump_directory().empty()) {
    problems->AddIncomplete(field, "is needed for capture Volume");
  }
  if (postgres.capture() != v1::CAPTURE_VOLUME && !postgres.dump_directory().empty()) {
    problems->AddIncomplete(field, "has no meaning without capture Volume");
  }
}

std::string DescribeDump(const v1::Artifact& dump) {
  const v1::Artifact::Contents contents = ContentsOf(dump);
  return DescribeArtifact(dump, {HumanBytes(dump.bytes()), CountOf(CountIn(contents, "table"), "table"),
                                 CountOf(CountIn(contents, "row"), "row")});
}

const std::string& NewName(const std::string& database, const v1::PostgresRestoreOptions& options) {
  const auto renamed = options.rename_databases().find(database);
  return renamed == options.rename_databases().end() ? database : renamed->second;
}

// Finds the names that stand for no database of `databases`, each as a problem of a field below `field`.
void FindStrangers(const std::map<std::string, std::string>& renames,
                   const std::vector<std::string>& databases, const std::string& whose,
                   const std::string& field, Problems* problems) {
  for (const auto& [source, name] : renames) {
    if (std::find(databases.begin(), databases.end(), source) != databases.end()) continue;
    problems->Add(field, fmt::format("{} has no database '{}' to restore as '{}'", whose,
                                     CleanText(Elide(source, 80)), CleanText(Elide(name, 80))));
  }
}

// The plan of one component's restore.
class RestorePlanner {
 public:
  RestorePlanner(const v1::Component& component, const RestoreRequest& request)
      : component_(component),
        request_(request),
        options_(request.options.postgres()),
        manifest_(*request.manifest),
        name_(component.name()) {}

  StatusOr<Fragment> Plan() {
    RETURN_IF_ERROR(ChooseTarget());
    globals_ = FindArtifact(manifest_, name_, v1::Artifact::KIND_POSTGRES_GLOBALS);
    if (globals_ == nullptr) fragment_.missing.push_back(MakeMissing(manifest_, name_, "roles"));
    RETURN_IF_ERROR(ChooseDatabases());
    // A dump cannot be given back its owners and grants without its roles: that would prove nothing.
    if (globals_ == nullptr || databases_.empty()) return std::move(fragment_);
    AddTargetChecks();
    AddRoles();
    for (const Database& database : databases_) AddDatabase(database);
    if (!request_.drill) {
      fragment_.effects.push_back(
          MakeEffect("check", "these databases",
                     fmt::format("must not exist on {} yet, or the restore is refused", server_)));
    }
    if (options_.keep_going()) {
      fragment_.effects.push_back(MakeEffect(
          "skip", "parts that cannot be built",
          fmt::format("by {}, as --keep-going says: they are named, and the restore is partial", server_)));
    }
    AddApplicationChecks();
    if (request_.drill) AddScratchServer();
    return std::move(fragment_);
  }

 private:
  struct Database {
    std::string slug;
    v1::RestoreDatabase restore;
  };

  Status ChooseTarget() {
    if (request_.drill) {
      drill_server_ = DrillServerOf(component_, manifest_);
      target_.set_scratch(ScratchServerName(request_, kEngine, drill_server_.number));
      server_ = "the scratch server" + (drill_server_.of.empty() ? "" : " of " + drill_server_.of);
      key_ = "postgres-restore:" + target_.scratch();
      return OkStatus();
    }
    if (!request_.to || !request_.to->has_postgres()) {
      return FailedPrecondition("there is no server to restore component '{}' to", name_);
    }
    v1::Component to = *request_.to;
    if (!options_.namespace_().empty()) to.set_namespace_(options_.namespace_());
    *target_.mutable_connection() = ConnectionOf(to);
    server_ = ServerName(target_.connection());
    const std::string& environment =
        request_.environment.empty() ? manifest_.environment() : request_.environment;
    key_ = ServerKey("postgres-restore", environment, to);
    return OkStatus();
  }

  Status ChooseDatabases() {
    const std::vector<std::string> sources = DatabasesOf(component_);
    const std::vector<std::string> slugs = UniqueSlugs(sources);
    for (size_t i = 0; i < sources.size(); ++i) {
      const auto* dump = FindArtifact(manifest_, name_, v1::Artifact::KIND_POSTGRES_DUMP, sources[i]);
      const auto* details = FindArtifact(manifest_, name_, v1::Artifact::KIND_POSTGRES_DETAILS, sources[i]);
      if (dump == nullptr || details == nullptr) {
        fragment_.missing.push_back(MakeMissing(manifest_, name_, "database " + sources[i]));
        continue;
      }
      Database database{slugs[i], {}};
      database.restore.set_source(sources[i]);
      database.restore.set_name(NewName(sources[i], options_));
      RETURN_IF_ERROR_IN(CheckDatabaseName(database.restore.name()), "database " + sources[i]);
      *database.restore.mutable_dump() = ForAction(*dump);
      *database.restore.mutable_details() = ForAction(*details);
      databases_.push_back(std::move(database));
    }
    return OkStatus();
  }

  v1::Step NewStep(const std::string& verb, v1::Purpose purpose, const std::string& title) const {
    return MakeStep(name_ + "." + verb, purpose, name_, title);
  }

  void AddTargetChecks() {
    for (size_t begin = 0; begin < databases_.size(); begin += kDatabasesPerTargetCheck) {
      const std::string number = begin == 0 ? "" : fmt::format("-{}", begin / kDatabasesPerTargetCheck + 1);
      v1::Step step = NewStep("check-target" + number, v1::PURPOSE_GUARD, "check target server");
      v1::PostgresTargetCheck* check = step.mutable_action()->mutable_postgres_target_check();
      *check->mutable_target() = target_;
      *check->mutable_location() = request_.location;
      *check->mutable_globals() = ForAction(*globals_);
      check->set_keep_going(options_.keep_going());
      for (size_t i = begin; i < std::min(databases_.size(), begin + kDatabasesPerTargetCheck); ++i) {
        *check->add_databases() = databases_[i].restore;
      }
      UseLocation(&step, request_.location);
      Retry(&step, 3, 2, 30);
      SetAttemptTimeout(&step, kQuickStepTimeout_s);
      fragment_.steps.push_back(std::move(step));
    }
  }

  void AddRoles() {
    v1::Step step = NewStep("restore-roles", v1::PURPOSE_RESTORE, "restore roles");
    v1::PostgresRestoreRoles* roles = step.mutable_action()->mutable_postgres_restore_roles();
    *roles->mutable_target() = target_;
    *roles->mutable_location() = request_.location;
    *roles->mutable_globals() = ForAction(*globals_);
    UseLocation(&step, request_.location);
    Retry(&step, 3, 2, 30);
    SetAttemptTimeout(&step, kQuickStepTimeout_s);
    fragment_.steps.push_back(std::move(step));
    fragment_.effects.push_back(
        MakeEffect("create", "roles that are missing",
                   fmt::format("on {}, from {}", server_, DescribeArtifact(*globals_, {}))));
    fragment_.effects.push_back(
        MakeEffect("keep", "roles that exist", fmt::format("on {}, as they are", server_)));
  }

  void AddDatabase(const Database& database) {
    const std::string& source = database.restore.source();
    const std::string& name = database.restore.name();
    const v1::Artifact& dump = database.restore.dump();

    v1::Step restore = NewStep("restore." + database.slug, v1::PURPOSE_RESTORE, "restore database " + name);
    v1::PostgresRestore* action = restore.mutable_action()->mutable_postgres_restore();
    *action->mutable_target() = target_;
    *action->mutable_location() = request_.location;
    *action->mutable_database() = database.restore;
    action->set_run(request_.run);
    action->set_keep_going(options_.keep_going());
    After(&restore, name_ + ".restore-roles");
    UseLocation(&restore, request_.location);
    UseKey(&restore, key_, 1, kServerTitle);
    Retry(&restore, 3, 10, 120);

    v1::Step verify = NewStep("verify." + database.slug, v1::PURPOSE_VERIFY, "verify database " + name);
    v1::PostgresVerify* compare = verify.mutable_action()->mutable_postgres_verify();
    *compare->mutable_target() = target_;
    *compare->mutable_location() = request_.location;
    *compare->mutable_database() = database.restore;
    *compare->mutable_globals() = ForAction(*globals_);
    After(&verify, restore.id());
    if (options_.keep_going()) verify.add_inputs(restore.id());  // which says what it left out
    UseLocation(&verify, request_.location);
    UseKey(&verify, key_, 1, kServerTitle);
    Retry(&verify, 3, 10, 120);

    fragment_.steps.push_back(std::move(restore));
    fragment_.steps.push_back(std::move(verify));
    fragment_.destinations.push_back(
        {fmt::format("postgres {}{}", target_.scratch(), server_), name, false,
         fmt::format("database '{}' to the same server", name),
         request_.drill ? "A drill has one server for both: put one of them into an application of its own."
                        : "Restore them one after another, and rename one of the databases.",
         IsLocal(target_.connection())});
    const std::string from = source == name ? "from dump" : fmt::format("from dump of {},", source);
    fragment_.effects.push_back(MakeEffect("create", "database " + name,
                                           fmt::format("on {}, {} {}", server_, from, DescribeDump(dump))));
  }

  void AddScratchServer() {
    int64_t bytes = 0;
    int version = 0;
    for (const Database& database : databases_) {
      bytes += 2 * database.restore.dump().bytes();  // the tables and their indexes
      version = std::max(version, PostgresFactsOf(database.restore.dump()).server_version_num());
    }
    fragment_.scratch.push_back(
        ScratchServer(request_, kEngine, drill_server_.number, drill_server_.of, version, bytes));
  }

  // The checks come after every comparison: the rows that an application's own check writes must not look like a
  // difference.
  void AddApplicationChecks() {
    const v1::Component& declares = request_.to ? *request_.to : component_;
    if (declares.checks().empty()) return;
    v1::Step step = NewStep("application-checks", v1::PURPOSE_CHECK,
                            fmt::format("run {} application check{}", declares.checks_size(),
                                        declares.checks_size() == 1 ? "" : "s"));
    v1::ApplicationChecks* action = step.mutable_action()->mutable_application_checks();
    action->set_component(name_);
    *action->mutable_checks() = declares.checks();
    action->set_drill(request_.drill);
    *action->mutable_postgres() = target_;
    auto& names = *action->mutable_database_names();
    for (const Database& database : databases_) {
      names[database.restore.source()] = database.restore.name();
      After(&step, fmt::format("{}.restore.{}", name_, database.slug));
      After(&step, fmt::format("{}.verify.{}", name_, database.slug), v1::Edge::CONDITION_FINISHED);
    }
    // The target's own checks name its databases as they are called there; the backup's names go first.
    for (const Database& database : databases_)
      names.insert({database.restore.name(), database.restore.name()});
    Retry(&step, 2, 5, 30);
    fragment_.steps.push_back(std::move(step));
  }

  const v1::Component& component_;
  const RestoreRequest& request_;
  const v1::PostgresRestoreOptions& options_;
  const v1::Manifest& manifest_;
  const std::string& name_;
  v1::PostgresTarget target_;
  DrillServer drill_server_;
  std::string server_;
  std::string key_;
  const v1::Artifact* globals_ = nullptr;
  std::vector<Database> databases_;
  Fragment fragment_;
};

void AddPlanned(const v1::Step& step, const std::string& artifact, const std::string& title,
                Fragment* fragment) {
  v1::PlannedArtifact planned;
  planned.set_step(step.id());
  planned.set_component(step.component());
  planned.set_artifact(artifact);
  planned.set_title(title);
  fragment->artifacts.push_back(std::move(planned));
}

}  // namespace

// The two ways to reach a server exclude each other: the one that is laid over replaces the other.
void PostgresStrategy::PrepareOverlay(const v1::Component& top, v1::Component* base) const {
  const v1::PostgresConnection& connection = top.postgres().connection();
  v1::PostgresConnection* below = base->mutable_postgres()->mutable_connection();
  if (!connection.host().empty() || !connection.service().empty()) below->clear_socket_directory();
  if (!connection.socket_directory().empty() || !connection.service().empty()) below->clear_host();
  if (!connection.socket_directory().empty() || !connection.host().empty()) below->clear_service();
}

std::vector<FieldProblem> PostgresStrategy::Validate(const v1::Component& component) const {
  Problems problems;
  const v1::PostgresComponent& postgres = component.postgres();
  ValidateConnection(postgres.connection(), &problems);
  ValidateDatabases(postgres, &problems);
  ValidateOwnClaims(postgres, &problems);
  ValidateCapture(postgres, &problems);
  problems.CheckDuration("postgres.expectations.countBudget", postgres.expectations().count_budget(), true);
  problems.CheckDuration("postgres.lockWaitTimeout", postgres.lock_wait_timeout(), false);
  const std::vector<std::string> databases = DatabasesOf(component);
  const auto probes = [&databases](const v1::ApplicationCheck& check, const std::string& field,
                                   Problems* found) {
    return ValidateSqlProbe(databases, check, field, found);
  };
  ValidateChecks(component, probes, &problems);
  return problems.Take();
}

std::vector<FieldProblem> PostgresStrategy::ValidateOptions(const v1::Component& component,
                                                            const v1::RestoreOptions& options) const {
  const std::string field = "postgres.renameDatabases";
  const std::vector<std::string> databases = DatabasesOf(component);
  const auto& given = options.postgres().rename_databases();
  const std::map<std::string, std::string> renames(given.begin(), given.end());  // in order
  Problems problems;
  if (!options.postgres().namespace_().empty())
    problems.Check("postgres.namespace", CheckObjectName(options.postgres().namespace_()));
  FindStrangers(renames, databases, fmt::format("component '{}'", component.name()), field, &problems);
  for (const auto& [source, name] : renames) problems.Check(field, CheckDatabaseName(name));
  std::set<std::string> names;
  for (const std::string& database : databases) {
    const std::string& name = NewName(database, options.postgres());
    if (!names.insert(name).second)
      problems.Add(field, fmt::format("two databases would be restored as '{}'", CleanText(Elide(name, 80))));
  }
  return problems.Take();
}

v1::RestoreOptions PostgresStrategy::CommonOptions(const v1::CreateRestoreRequest& asked,
                                                   const v1::Component& component) const {
  v1::RestoreOptions options;
  if (!asked.namespace_().empty() && !component.namespace_().empty())
    options.mutable_postgres()->set_namespace_(asked.namespace_());
  if (asked.keep_going()) options.mutable_postgres()->set_keep_going(true);
  for (const std::string& database : component.postgres().databases()) {
    const auto renamed = asked.rename_databases().find(database);
    if (renamed == asked.rename_databases().end()) continue;
    (*options.mutable_postgres()->mutable_rename_databases())[database] = renamed->second;
  }
  return options;
}

// A name that no component has would be left as it is by each of them.
std::vector<FieldProblem> PostgresStrategy::ValidateCommonOptions(const v1::CreateRestoreRequest& asked,
                                                                  const v1::Manifest& manifest) const {
  std::vector<std::string> databases;
  for (const v1::Component& component : manifest.components()) {
    for (const std::string& database : component.postgres().databases()) databases.push_back(database);
  }
  const std::map<std::string, std::string> renames(asked.rename_databases().begin(),
                                                   asked.rename_databases().end());
  Problems problems;
  FindStrangers(renames, databases, fmt::format("backup '{}'", manifest.backup()), "renameDatabases",
                &problems);
  return problems.Take();
}

StatusOr<Fragment> PostgresStrategy::Backup(const v1::Component& component,
                                            const BackupRequest& request) const {
  Fragment fragment;
  const std::string& name = component.name();
  v1::PostgresComponent postgres = component.postgres();
  *postgres.mutable_connection() = ConnectionOf(component);
  postgres.clear_claims();
  const std::string server = ServerName(postgres.connection());
  const std::string server_key = ServerKey("postgres", request.environment, component);

  v1::Step preflight = MakeStep(name + ".preflight", v1::PURPOSE_PREFLIGHT, name, "check server");
  *preflight.mutable_action()->mutable_postgres_preflight()->mutable_component() = postgres;
  Retry(&preflight, 3, 2, 30);
  SetAttemptTimeout(&preflight, kQuickStepTimeout_s);

  v1::Step globals = MakeStep(name + ".globals", v1::PURPOSE_CAPTURE, name, "dump roles");
  v1::PostgresGlobals* roles = globals.mutable_action()->mutable_postgres_globals();
  *roles->mutable_component() = postgres;
  *roles->mutable_target() = MakeTarget(request.location, request.backup, name, name + ".globals");
  After(&globals, preflight.id());
  UseLocation(&globals, request.location);
  Retry(&globals, 3, 10, 120);
  AddPlanned(globals, name + ".globals", "roles", &fragment);
  fragment.effects.push_back(MakeEffect("read", "roles", "on " + server));

  fragment.steps.push_back(preflight);
  fragment.steps.push_back(globals);
  const std::vector<std::string> databases = DatabasesOf(component);
  const std::vector<std::string> slugs = UniqueSlugs(databases);
  for (size_t i = 0; i < databases.size(); ++i) {
    const std::string artifact = fmt::format("{}.dump.{}", name, slugs[i]);
    v1::Step step = MakeStep(artifact, v1::PURPOSE_CAPTURE, name, "dump database " + databases[i]);
    v1::PostgresDump* dump = step.mutable_action()->mutable_postgres_dump();
    *dump->mutable_component() = postgres;
    dump->mutable_component()->clear_databases();  // all of them in every step would grow with the square
    dump->mutable_component()->add_databases(databases[i]);
    dump->set_database(databases[i]);
    *dump->mutable_target() = MakeTarget(request.location, request.backup, name, artifact);
    After(&step, preflight.id());
    UseLocation(&step, request.location);
    UseKey(&step, server_key, 1, kServerTitle);  // kind to the server: one dump at a time
    Retry(&step, 3, 10, 120);
    AddPlanned(step, artifact, "database " + databases[i], &fragment);
    fragment.effects.push_back(MakeEffect("read", "database " + databases[i], "on " + server));
    fragment.steps.push_back(std::move(step));
  }
  for (const std::string& claim : component.postgres().claims()) {
    Volume& volume = fragment.volumes.emplace_back();
    volume.in_namespace = component.namespace_();
    volume.claim = claim;
    volume.skip = "covered by the dump of component " + name;
  }
  return fragment;
}

std::vector<FieldProblem> PostgresStrategy::ValidateWithRuntime(const v1::Component& component,
                                                                v1::Runtime runtime) const {
  return runtime == v1::RUNTIME_KUBERNETES ? ProblemsOnCluster(component) : ProblemsOnHosts(component);
}

StatusOr<Fragment> PostgresStrategy::Restore(const v1::Component& component,
                                             const RestoreRequest& request) const {
  return RestorePlanner(component, request).Plan();
}

}  // namespace salvor::strategies
