#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "base/doubt_limit.h"
#include "base/names.h"
#include "base/text.h"
#include "proto/kind.h"
#include "strategies/compose/compile.h"
#include "strategies/compose/sizes.h"
#include "strategies/compose/validate_runtime.h"
#include "strategies/interface/declarations.h"
#include "strategies/interface/steps.h"
#include "strategies/volumes/quiesce.h"

namespace salvor::strategies {
namespace {

using Objects = std::map<std::string, const v1::Object*>;

std::string KeyOf(const std::string& kind, const std::string& name) {
  return fmt::format("{}/{}", kind, name);
}

std::string NeedsStrategy(const StrategyRegistry& strategies) {
  return "needs a strategy: one of " + strategies.Names();
}

std::string NeedsStore() {
  const auto* store = v1::LocationSpec::descriptor()->FindOneofByName("store");
  std::vector<std::string> names;
  for (int i = 0; i < store->field_count(); ++i) names.push_back(store->field(i)->json_name());
  return "needs a store: one of " + Join(names, ", ");
}

// Problems of one component by itself, with fields relative to it.
std::vector<FieldProblem> ValidateComponent(const StrategyRegistry& strategies,
                                            const v1::Component& component) {
  Problems problems;
  problems.Check("name", CheckObjectName(component.name()));
  if (component.name().size() > kMaxComponentNameLength) {
    problems.Add("name", fmt::format("is longer than {} characters", kMaxComponentNameLength));
  }
  if (!component.host().empty()) problems.Check("host", CheckObjectName(component.host()));
  if (!component.namespace_().empty()) problems.Check("namespace", CheckObjectName(component.namespace_()));
  if (!ParseDoubtLimit(component.doubt_below()).has_value()) {
    problems.Add("doubtBelow", fmt::format("'{}' is not a share of 1% to 100%; write it like 50%, or never",
                                           CleanText(component.doubt_below().substr(0, 40))));
  }
  ValidateQuiesce(component, &problems);
  std::vector<FieldProblem> found = problems.Take();
  const Strategy* strategy = strategies.Find(component);
  if (strategy == nullptr && component.has_extension()) {
    found.push_back(
        {"extension", fmt::format("is of kind '{}', which this version does not know; it knows {}",
                                  PercentEncode(KindOf(component).substr(0, 120)), strategies.Names())});
    return found;
  }
  if (strategy == nullptr) {
    found.push_back({"", NeedsStrategy(strategies), true});
    return found;
  }
  const std::vector<FieldProblem> own = strategy->Validate(component);
  found.insert(found.end(), own.begin(), own.end());
  if (const auto too_large = FindTooLarge(component)) found.push_back(*too_large);
  return found;
}

bool IsRepositoryPathRelative(const std::string& repository) {
  return repository.front() != '/' && repository.find(':') == std::string::npos;
}

// "rest:https://user:secret@host/": whatever is stored and shown must not hold it.
bool HasPassword(const std::string& repository) {
  const size_t scheme = repository.find("://");
  if (scheme == std::string::npos) return false;
  const std::string authority =
      repository.substr(scheme + 3, repository.find('/', scheme + 3) - (scheme + 3));
  const size_t at = authority.rfind('@');
  return at != std::string::npos && authority.find(':') < at;
}

class ObjectValidator {
 public:
  ObjectValidator(const StrategyRegistry& strategies, const std::vector<v1::Object>& objects,
                  const std::map<std::string, v1::Object>& existing)
      : strategies_(strategies), objects_(objects), existing_(existing) {
    for (const auto& [key, object] : existing) known_[key] = &object;
    for (const v1::Object& object : objects)
      known_[KeyOf(KindOf(object), object.metadata().name())] = &object;
  }

  std::vector<v1::Problem> Validate() {
    std::set<std::string> seen;
    for (index_ = 0; index_ < static_cast<int>(objects_.size()); ++index_) {
      const v1::Object& object = objects_[static_cast<size_t>(index_)];
      const Status name = CheckObjectName(object.metadata().name());
      if (!name.ok()) Add("metadata.name", MessageOf(name));
      if (!seen.insert(KeyOf(KindOf(object), object.metadata().name())).second) {
        Add("metadata.name", fmt::format("an earlier document is {} '{}' too", KindOf(object),
                                         CleanText(object.metadata().name())));
      }
      switch (object.spec_case()) {
        case v1::Object::kEnvironment:
          ValidateEnvironment(object.metadata().name(), object.environment());
          break;
        case v1::Object::kLocation:
          ValidateLocation(object.location());
          break;
        case v1::Object::kDriver:
          ValidateDriver(object.metadata().name(), object.driver());
          break;
        case v1::Object::kApplication:
          ValidateApplication(object.application());
          break;
        case v1::Object::SPEC_NOT_SET:
          Add("spec", "is missing");
          break;
      }
    }
    return std::move(problems_);
  }

 private:
  void Add(const std::string& field, const std::string& message) {
    v1::Problem& problem = problems_.emplace_back();
    problem.set_object(index_);
    problem.set_field(field);
    problem.set_message(message);
  }

  void AddAll(const std::string& base, const std::vector<FieldProblem>& problems) {
    for (const FieldProblem& problem : problems) {
      Add(problem.field.empty() ? base : fmt::format("{}.{}", base, problem.field), problem.message);
    }
  }

  const v1::Object* Find(const std::string& kind, const std::string& name) const {
    const auto found = known_.find(KeyOf(kind, name));
    return found == known_.end() ? nullptr : found->second;
  }

  void CheckReference(const std::string& field, const std::string& kind, const std::string& name,
                      bool required) {
    if (name.empty()) {
      if (required)
        Add(field, fmt::format("is missing: the name of {} {}", kind[0] == 'E' ? "an" : "a", kind));
    } else if (Find(kind, name) == nullptr) {
      Add(field, fmt::format("there is no {} '{}'", kind, CleanText(name.substr(0, 80))));
    }
  }

  void ValidateEnvironment(const std::string& name, const v1::EnvironmentSpec& environment) {
    if (environment.runtime() == v1::RUNTIME_KUBERNETES) {
      ValidateCluster(environment.cluster());
    } else if (environment.runtime() != v1::RUNTIME_HOST) {
      Add("spec.runtime", "must be Host or Kubernetes");
    } else if (environment.has_cluster()) {
      Add("spec.cluster", "is of runtime Kubernetes, and this environment is a set of hosts; leave it out");
    }
    CheckReference("spec.location", "Location", environment.location(), true);
    if (v1::Runtime_IsValid(environment.runtime()) && environment.runtime() != v1::RUNTIME_UNSPECIFIED)
      ValidateApplicationsIn(name, environment);
  }

  void ValidateCluster(const v1::KubernetesCluster& cluster) {
    Problems problems;
    problems.CheckSecretFile("kubeconfig", cluster.kubeconfig());
    if (!cluster.velero_namespace().empty())
      problems.Check("veleroNamespace", CheckObjectName(cluster.velero_namespace()));
    if (!cluster.storage_location().empty())
      problems.Check("storageLocation", CheckDottedName(cluster.storage_location(), "a storage location"));
    AddAll("spec.cluster", problems.Take());
  }

  // Applications that are there and are not applied with it must go on being valid.
  void ValidateApplicationsIn(const std::string& name, const v1::EnvironmentSpec& environment) {
    for (const auto& [key, object] : existing_) {
      const v1::ApplicationSpec& application = object.application();
      if (!object.has_application() || application.environment() != name || known_.at(key) != &object)
        continue;
      const v1::Object* driver = Find("Driver", application.driver());
      const auto resolved =
          ResolveComponents(strategies_, application, driver == nullptr ? nullptr : &driver->driver());
      if (!resolved.ok()) continue;  // whoever changes the driver is told
      for (const v1::Component& component : *resolved) {
        const auto problems =
            ProblemsWithRuntime(strategies_.Find(component), component, environment.runtime());
        if (problems.empty()) continue;
        Add("spec.runtime",
            fmt::format("application '{}', which is there, would be broken: {}: {}: {}",
                        object.metadata().name(), component.name(), problems[0].field, problems[0].message));
        break;
      }
    }
  }

  void ValidateLocation(const v1::LocationSpec& location) {
    if (!location.has_restic()) return Add("spec", NeedsStore());
    const v1::ResticLocation& restic = location.restic();
    Problems problems;
    problems.CheckWord("repository", restic.repository(), "repository");
    if (!restic.repository().empty() && IsRepositoryPathRelative(restic.repository())) {
      problems.Add("repository", "must be an absolute path or name a backend, like s3:…, rest:… or sftp:…");
    }
    if (HasPassword(restic.repository())) {
      problems.Add(
          "repository",
          "holds a password; write it into environmentFile, as RESTIC_REST_PASSWORD or as the backend names it");
    }
    if (restic.password_file().empty()) problems.Add("passwordFile", "is missing");
    problems.CheckSecretFile("passwordFile", restic.password_file());
    problems.CheckSecretFile("environmentFile", restic.environment_file());
    problems.CheckPath("cacheDirectory", restic.cache_directory());
    for (int i = 0; i < restic.options_size(); ++i) {
      const std::string field = fmt::format("options[{}]", i);
      problems.CheckWord(field, restic.options(i), "option");
      const size_t equals = restic.options(i).find('=');
      if (equals == 0 || equals == std::string::npos) problems.Add(field, "must be KEY=value");
    }
    AddAll("spec.restic", problems.Take());
  }

  // A driver's components may leave to the application what only it can know.
  void ValidateDriver(const std::string& name, const v1::DriverSpec& driver) {
    if (driver.components().empty()) Add("spec.components", "needs at least one component");
    CheckUniqueNames(driver.components());
    ValidateByThemselves(driver.components(), true);
    ValidateUsersOf(name, driver);
  }

  // Finds what is wrong with them whatever they are laid over, or is laid over them.
  void ValidateByThemselves(const google::protobuf::RepeatedPtrField<v1::Component>& components,
                            bool need_strategy) {
    const std::string no_strategy = NeedsStrategy(strategies_);
    const auto may_come_later = [&](const FieldProblem& problem) {
      return problem.incomplete && !(need_strategy && problem.message == no_strategy);
    };
    for (int i = 0; i < components.size(); ++i) {
      std::vector<FieldProblem> problems = ValidateComponent(strategies_, components[i]);
      problems.erase(std::remove_if(problems.begin(), problems.end(), may_come_later), problems.end());
      AddAll(fmt::format("spec.components[{}]", i), problems);
    }
  }

  // Applications that use the driver and are not applied with it must go on being valid.
  void ValidateUsersOf(const std::string& name, const v1::DriverSpec& driver) {
    for (const auto& [key, object] : existing_) {
      if (!object.has_application() || object.application().driver() != name || known_.at(key) != &object)
        continue;
      const std::string problem = FirstProblem(object.application(), driver);
      if (!problem.empty()) {
        Add("spec.components", fmt::format("application '{}', which uses this driver, would be broken: {}",
                                           object.metadata().name(), problem));
      }
    }
  }

  std::string FirstProblem(const v1::ApplicationSpec& application, const v1::DriverSpec& driver) const {
    const StatusOr<std::vector<v1::Component>> resolved =
        ResolveComponents(strategies_, application, &driver);
    if (!resolved.ok()) return MessageOf(resolved.status());
    for (const v1::Component& component : *resolved) {
      std::vector<FieldProblem> problems = ValidateComponent(strategies_, component);
      if (problems.empty()) problems = RuntimeProblems(application, component);
      for (const FieldProblem& problem : problems)
        return fmt::format("{}: {}: {}", component.name(), problem.field, problem.message);
    }
    return "";
  }

  void CheckUniqueNames(const google::protobuf::RepeatedPtrField<v1::Component>& components) {
    std::set<std::string> names;
    for (int i = 0; i < components.size(); ++i) {
      if (names.insert(components[i].name()).second) continue;
      Add(fmt::format("spec.components[{}].name", i),
          fmt::format("'{}' is the name of an earlier component", CleanText(components[i].name())));
    }
  }

  void ValidateApplication(const v1::ApplicationSpec& application) {
    CheckReference("spec.environment", "Environment", application.environment(), true);
    CheckReference("spec.driver", "Driver", application.driver(), false);
    CheckReference("spec.location", "Location", application.location(), false);
    if (!application.namespace_().empty()) CheckNamespace(application);
    CheckUniqueNames(application.components());
    const v1::DriverSpec* driver = nullptr;
    if (!application.driver().empty()) {
      const v1::Object* object = Find("Driver", application.driver());
      if (object == nullptr) return ValidateByThemselves(application.components(), false);
      driver = &object->driver();
    } else if (application.components().empty()) {
      return Add("spec.components", "needs at least one component, or a driver");
    }
    // One at a time, so that a mismatch of one component does not hide the problems of the others.
    std::set<std::string> named;
    for (int i = 0; i < application.components_size(); ++i) {
      ValidateLaidOver(application, i, driver);
      named.insert(application.components(i).name());
    }
    if (driver == nullptr) return;
    for (const v1::Component& component : driver->components()) {
      if (named.count(component.name()) == 0) ValidateAsTheDriverHasIt(application, component);
    }
  }

  v1::Runtime RuntimeOf(const v1::ApplicationSpec& application) const {
    const v1::Object* environment = Find("Environment", application.environment());
    return environment == nullptr ? v1::RUNTIME_UNSPECIFIED : environment->environment().runtime();
  }

  void CheckNamespace(const v1::ApplicationSpec& application) {
    const Status name = CheckObjectName(application.namespace_());
    if (!name.ok()) Add("spec.namespace", MessageOf(name));
    if (RuntimeOf(application) == v1::RUNTIME_HOST)
      Add("spec.namespace", "is of a cluster, and this environment is a set of hosts; leave it out");
  }

  // Nothing where it is not known what the environment is: that has been said.
  std::vector<FieldProblem> RuntimeProblems(const v1::ApplicationSpec& application,
                                            const v1::Component& component) const {
    const v1::Runtime runtime = RuntimeOf(application);
    if (runtime == v1::RUNTIME_UNSPECIFIED) return {};
    const bool inherited = component.namespace_() == application.namespace_();
    return ProblemsWithRuntime(strategies_.Find(component), component, runtime, inherited);
  }

  void ValidateLaidOver(const v1::ApplicationSpec& application, int index, const v1::DriverSpec* driver) {
    const v1::Component& component = application.components(index);
    const std::string field = fmt::format("spec.components[{}]", index);
    v1::ApplicationSpec alone;
    *alone.add_components() = component;
    alone.set_namespace_(application.namespace_());
    const StatusOr<std::vector<v1::Component>> resolved = ResolveComponents(strategies_, alone, driver);
    if (!resolved.ok()) return Add(field, MessageOf(resolved.status()));
    for (const v1::Component& whole : *resolved) {
      if (whole.name() != component.name()) continue;
      std::vector<FieldProblem> problems = ValidateComponent(strategies_, whole);
      if (problems.empty()) problems = RuntimeProblems(application, whole);
      // What is wrong with the application's own is said there, once.
      if (component.namespace_().empty() && whole.namespace_() == application.namespace_() &&
          !application.namespace_().empty()) {
        const auto of_namespace = [](const FieldProblem& problem) { return problem.field == "namespace"; };
        problems.erase(std::remove_if(problems.begin(), problems.end(), of_namespace), problems.end());
      }
      if (!problems.empty() && driver != nullptr)
        CheckKnownToDriver(field, application.driver(), *driver, component.name());
      AddAll(field, problems);
      CheckWithLocation(application, whole, field);
      return;
    }
  }

  void CheckWithLocation(const v1::ApplicationSpec& application, const v1::Component& component,
                         const std::string& field) {
    std::string name = application.location();
    const v1::Object* environment = Find("Environment", application.environment());
    if (name.empty() && environment != nullptr) name = environment->environment().location();
    const v1::Object* location = Find("Location", name);
    const Strategy* strategy = strategies_.Find(component);
    if (location == nullptr || strategy == nullptr) return;
    AddAll(field, strategy->ValidateWithLocation(component, name, location->location()));
  }

  // A component that is not complete and that the driver does not know has most likely a wrong name.
  void CheckKnownToDriver(const std::string& field, const std::string& driver_name,
                          const v1::DriverSpec& driver, const std::string& name) {
    std::vector<std::string> names;
    for (const v1::Component& component : driver.components()) names.push_back(component.name());
    if (std::find(names.begin(), names.end(), name) != names.end()) return;
    Add(field + ".name",
        fmt::format("driver '{}' has no component '{}', it has {}; so this one stands by itself", driver_name,
                    CleanText(name.substr(0, 80)), Join(names, ", ")));
  }

  void ValidateAsTheDriverHasIt(const v1::ApplicationSpec& application, v1::Component component) {
    const auto add = [&](const FieldProblem& problem, const std::string& what) {
      Add("spec.driver",
          fmt::format("component '{}' of driver '{}' {}: {}{}", component.name(), application.driver(), what,
                      problem.field.empty() ? "" : problem.field + ": ", problem.message));
    };
    if (component.namespace_().empty()) component.set_namespace_(application.namespace_());
    const std::vector<FieldProblem> problems = ValidateComponent(strategies_, component);
    for (const FieldProblem& problem : problems) {
      // What is wrong whatever is laid over it is the driver's own problem, reported there.
      if (problem.incomplete) add(problem, "is not complete");
    }
    if (!problems.empty()) return;
    for (const FieldProblem& problem : RuntimeProblems(application, component))
      add(problem, "cannot be in this environment");
  }

  const StrategyRegistry& strategies_;
  const std::vector<v1::Object>& objects_;
  const std::map<std::string, v1::Object>& existing_;
  Objects known_;
  int index_ = 0;
  std::vector<v1::Problem> problems_;
};

}  // namespace

std::vector<v1::Problem> ValidateObjects(const StrategyRegistry& strategies,
                                         const std::vector<v1::Object>& objects,
                                         const std::map<std::string, v1::Object>& existing) {
  return ObjectValidator(strategies, objects, existing).Validate();
}

}  // namespace salvor::strategies
