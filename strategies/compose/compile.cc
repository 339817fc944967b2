#include "strategies/compose/compile.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "base/doubt_limit.h"
#include "base/text.h"
#include "flows/graph/graces.h"
#include "proto/kind.h"
#include "strategies/compose/manifest_check.h"
#include "strategies/compose/manifest_parts.h"
#include "strategies/compose/places.h"
#include "strategies/compose/restore_options.h"
#include "strategies/compose/scratch.h"
#include "strategies/compose/sizes.h"
#include "strategies/compose/validate_runtime.h"
#include "strategies/compose/verification.h"
#include "strategies/interface/declarations.h"
#include "strategies/interface/steps.h"
#include "strategies/volumes/volumes.h"

namespace salvor::strategies {
namespace {

constexpr char kManifestWrite[] = "manifest.write";
constexpr int kQuickStepTimeout_s = 600;

const std::initializer_list<v1::Purpose> kBeforeAnythingIsWritten = {v1::PURPOSE_PREFLIGHT,
                                                                     v1::PURPOSE_GUARD};

struct Part {
  const v1::Component* component;
  Fragment fragment;
  std::string host;  // where its steps are: as Component.host
  std::string root;  // what its steps without edges come after: there, the Location is open
};

std::vector<std::string> HostsOf(const std::vector<Part>& parts) {
  std::vector<std::string> hosts;
  for (const Part& part : parts) {
    if (!part.fragment.steps.empty()) hosts.push_back(part.host);
  }
  return hosts;
}

v1::Step OpenLocation(const v1::ResticLocation& location, bool create) {
  v1::Step step = MakeStep(kLocationOpen, v1::PURPOSE_PREPARE, "", "open location");
  v1::LocationOpen* open = step.mutable_action()->mutable_location_open();
  *open->mutable_location() = location;
  open->set_create(create);
  UseLocation(&step, location);
  Retry(&step, 5, 2, 30);
  SetAttemptTimeout(&step, kQuickStepTimeout_s);
  return step;
}

// The Location is opened on the main host; `after` that on every other one, as its own step, by the same repository.
void OpenOnOtherHosts(const Places& places, const std::string& after, std::vector<Part>* parts,
                      v1::Flow* flow) {
  for (Part& part : *parts) part.root = after;
  for (const std::string& host : places.OtherHosts()) {
    v1::Step open = places.AlsoOpened(flow->steps(0), host, after);
    for (Part& part : *parts) {
      if (part.host == host) part.root = open.id();
    }
    *flow->add_steps() = std::move(open);
  }
}

// The part's steps wait for the Location on their host, which its effects name.
void Settle(const Places& places, Part* part) {
  places.Settle(part->component->name(), part->host, part->root, &part->fragment.steps);
  for (v1::PlannedEffect& effect : part->fragment.effects) {
    if (!part->host.empty())
      effect.set_detail(
          fmt::format("{}{}on host {}", effect.detail(), effect.detail().empty() ? "" : ", ", part->host));
  }
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void AddObligations(const Fragment& fragment, v1::Flow* flow) {
  for (const v1::Obligation& obligation : fragment.obligations) *flow->add_obligations() = obligation;
}

StatusOr<const Strategy*> StrategyOf(const StrategyRegistry& strategies, const v1::Component& component) {
  if (const Strategy* strategy = strategies.Find(component)) return strategy;
  const std::string kind = KindOf(component);
  if (kind.empty())
    return InvalidArgument("component '{}' has no strategy that this version knows", component.name());
  return WithHint(InvalidArgument("component '{}' is of kind {}, which this version does not know",
                                  component.name(), PercentEncode(kind.substr(0, 120))),
                  "Use the version of Salvor that has it.");
}

Status CheckDeclaration(const Strategy& strategy, const v1::Component& component, v1::Runtime runtime) {
  std::vector<FieldProblem> problems = strategy.Validate(component);
  if (problems.empty()) problems = ProblemsWithRuntime(&strategy, component, runtime);
  if (const auto too_large = FindTooLarge(component)) problems.push_back(*too_large);
  for (const FieldProblem& problem : problems) {
    return WithHint(
        FailedPrecondition("component '{}': {}: {}", component.name(), problem.field, problem.message),
        "Correct the declaration, then apply it again.");
  }
  return OkStatus();
}

// The last of every plan: what decides how it runs is written down with it, and no flow leaves here unchecked.
Status Finish(v1::Flow* flow) {
  *flow->mutable_graces() = flows::DefaultGraces();
  return ValidateFlow(*flow);
}

bool MayShrinkUnseen(const v1::Component& component) { return ParseDoubtLimit(component.doubt_below()) == 0; }

// Written whatever became of the captures, so that a partial backup is found too; its inputs are the steps
// that keep something, and its edges all that nothing else of the captures waits for.
v1::Step WriteManifest(const std::vector<v1::Component>& components, const v1::Manifest& header,
                       const BackupRequest& request, const std::vector<Part>& parts) {
  v1::Step step = MakeStep(kManifestWrite, v1::PURPOSE_RECORD, "", "write manifest");
  v1::ManifestWrite* write = step.mutable_action()->mutable_manifest_write();
  *write->mutable_location() = request.location;
  v1::Manifest* manifest = write->mutable_manifest();
  *manifest = header;
  if (manifest->format() == 0) manifest->set_format(1);
  if (manifest->backup().empty()) manifest->set_backup(request.backup);
  if (manifest->run().empty()) manifest->set_run(request.run);
  manifest->clear_components();
  for (const v1::Component& component : components) {
    *manifest->add_components() = component;
    if (MayShrinkUnseen(component)) {
      manifest->add_warnings(
          fmt::format("component {}: doubtBelow is {}, so a copy that shrank is not doubted",
                      component.name(), component.doubt_below()));
    }
  }
  manifest->clear_artifacts();
  After(&step, kLocationOpen);
  for (const Part& part : parts) {
    std::set<std::string> keepers, waited_for;
    for (const v1::PlannedArtifact& planned : part.fragment.artifacts) {
      *write->add_planned() = planned;
      if (keepers.insert(planned.step()).second) step.add_inputs(planned.step());
    }
    for (const v1::Step& step_of_part : part.fragment.steps) {
      for (const v1::Edge& edge : step_of_part.after()) waited_for.insert(edge.step());
    }
    for (const v1::Step& capture : part.fragment.steps) {
      if (capture.purpose() != v1::PURPOSE_CAPTURE) continue;
      if (keepers.count(capture.id()) == 0 && waited_for.count(capture.id()) != 0) continue;
      After(&step, capture.id(), v1::Edge::CONDITION_FINISHED);
    }
  }
  UseLocation(&step, request.location);
  Retry(&step, 10, 2, 60);
  SetAttemptTimeout(&step, kQuickStepTimeout_s);
  return step;
}

// A restore writes nothing before every guardrail of every component agreed. In a drill there is nothing to
// be spoilt, and a component that cannot be restored must not hide whether the others can: there each
// component's own guardrails suffice. Either way the application's checks wait until everything has been
// written: a shop is not healthy before its files are there.
void JoinRestore(bool drill, const Places& places, std::vector<Part>* parts) {
  std::vector<std::string> guardrails, writers;
  for (Part& part : *parts) {
    const auto before = IdsOfPurposes(part.fragment.steps, kBeforeAnythingIsWritten);
    const auto writing = IdsOfPurposes(part.fragment.steps, {v1::PURPOSE_RESTORE});
    guardrails.insert(guardrails.end(), before.begin(), before.end());
    writers.insert(writers.end(), writing.begin(), writing.end());
  }
  for (Part& part : *parts) {
    const auto own_guardrails = IdsOfPurposes(part.fragment.steps, kBeforeAnythingIsWritten);
    const auto own_writers = IdsOfPurposes(part.fragment.steps, {v1::PURPOSE_RESTORE});
    for (v1::Step& step : part.fragment.steps) {
      if (step.purpose() == v1::PURPOSE_RESTORE) {
        for (const std::string& guardrail : drill ? own_guardrails : guardrails) After(&step, guardrail);
      }
      if (step.purpose() != v1::PURPOSE_CHECK) continue;
      for (const std::string& writer : writers) {
        if (!Contains(own_writers, writer)) After(&step, writer, v1::Edge::CONDITION_FINISHED);
      }
    }
    Settle(places, &part);
  }
}

// The restore fragment of one component, which goes to the target's of its name, if there is a target.
StatusOr<Fragment> RestoreFragment(const Strategy& strategy, const v1::Component& component,
                                   RestoreRequest request, const std::map<std::string, v1::Component>* to) {
  const std::string& name = component.name();
  request.to.reset();
  if (to != nullptr && to->count(name) != 0) {
    if (!strategy.IsOf(to->at(name))) {
      return FailedPrecondition(
          "component '{}' is of kind {} in the backup and of another kind in the target", name,
          strategy.Name());
    }
    request.to = to->at(name);
  } else if (strategy.NeedsTarget(request)) {
    return WithHint(FailedPrecondition("the target application has no component '{}'", name),
                    "Declare it there, or name the components to restore and leave this one out.");
  }
  StatusOr<Fragment> fragment = strategy.Restore(component, request);
  if (!fragment.ok()) return WithContext(fragment.status(), "component " + name);
  return fragment;
}

// The restore fragments of the chosen components, in the manifest's order.
StatusOr<std::vector<Part>> RestoreParts(const StrategyRegistry& strategies, const RestoreRequest& request,
                                         const std::map<std::string, v1::Component>* to,
                                         const std::vector<std::string>& chosen,
                                         const OptionsByComponent& options) {
  std::vector<Part> parts;
  std::set<std::string> hosts;
  for (const v1::Component& component : request.manifest->components()) hosts.insert(component.host());
  for (const v1::Component& component : request.manifest->components()) {
    if (!chosen.empty() && !Contains(chosen, component.name())) continue;
    ASSIGN_OR_RETURN(const Strategy* strategy, StrategyOf(strategies, component));
    if (request.to_cluster && !ProblemsWithRuntime(strategy, component, v1::RUNTIME_KUBERNETES).empty()) {
      return FailedPrecondition(
          "component '{}' is of hosts, and a restore of it to a cluster is not in this version yet",
          component.name());
    }
    RestoreRequest one = request;
    const auto own = options.find(component.name());
    one.options = own == options.end() ? v1::RestoreOptions() : own->second;
    // A drill has the files of all hosts in one folder, where the same path may come from several.
    if (one.drill && hosts.size() > 1 && !component.host().empty()) one.drill_folder = "/" + component.host();
    ASSIGN_OR_RETURN(Fragment fragment, RestoreFragment(*strategy, component, std::move(one), to));
    const bool is_there = to != nullptr && to->count(component.name()) != 0;
    parts.push_back({&component, std::move(fragment), is_there ? to->at(component.name()).host() : "", ""});
  }
  return parts;
}

const std::string& EnvironmentOf(const RestoreRequest& request) {
  return request.environment.empty() ? request.manifest->environment() : request.environment;
}

Status CheckRequest(const RestoreRequest& request, const std::vector<std::string>& chosen) {
  if (request.manifest == nullptr) return InvalidArgument("there is no manifest to restore from");
  const v1::Manifest& manifest = *request.manifest;
  std::set<std::string> components;
  for (const v1::Component& component : manifest.components()) components.insert(component.name());
  if (components.empty()) return FailedPrecondition("backup '{}' has no components", manifest.backup());
  for (const std::string& name : chosen) {
    if (components.count(name) == 0) {
      return InvalidArgument("backup '{}' has no component '{}', it has {}", manifest.backup(),
                             CleanText(name), Join({components.begin(), components.end()}, ", "));
    }
  }
  return OkStatus();
}

bool Meet(const Destination& one, const Destination& other, bool same_host) {
  if (one.space != other.space || (one.is_local && other.is_local && !same_host)) return false;
  return one.is_folder && other.is_folder
             ? IsWithin(one.place, other.place) || IsWithin(other.place, one.place)
             : one.place == other.place;
}

// Two components of the target may declare the same folders, or live on one server.
Status RefuseSharedDestinations(const std::vector<Part>& parts) {
  std::vector<std::pair<const Destination*, const Part*>> taken;
  for (const Part& part : parts) {
    for (const Destination& one : part.fragment.destinations) {
      for (const auto& [other, taker] : taken) {
        // A component that names no host may be on any.
        const bool may_share_host = taker->host == part.host || taker->host.empty() || part.host.empty();
        if (!Meet(one, *other, may_share_host)) continue;
        const Destination& inner = one.place.size() < other->place.size() ? *other : one;
        return WithHint(InvalidArgument("components '{}' and '{}' would both restore {}",
                                        taker->component->name(), part.component->name(), inner.description),
                        one.hint);
      }
      taken.emplace_back(&one, &part);
    }
  }
  return OkStatus();
}

Status RefuseMissing(const v1::Manifest& manifest, const std::vector<Part>& parts) {
  std::vector<std::string> missing;
  for (const Part& part : parts) {
    for (const v1::MissingArtifact& one : part.fragment.missing) {
      missing.push_back(fmt::format("{} of component {} ({})", one.title(), one.component(), one.why()));
    }
  }
  const auto has_steps = [](const Part& part) { return !part.fragment.steps.empty(); };
  if (missing.empty() && std::none_of(parts.begin(), parts.end(), has_steps)) {
    return FailedPrecondition("backup '{}' holds nothing that could be restored", manifest.backup());
  }
  if (missing.empty()) return OkStatus();
  return WithHint(
      FailedPrecondition("backup '{}' is partial and lacks {}", manifest.backup(), Join(missing, "; ")),
      "Choose a complete backup, or name the components to restore.");
}

v1::PlannedEffect ReadBackup(const v1::Manifest& manifest) {
  int64_t bytes = 0;
  for (const v1::Artifact& artifact : manifest.artifacts()) bytes += artifact.bytes();
  return MakeEffect("read", "backup " + manifest.backup(),
                    fmt::format("of {}, {} in {} artifacts", manifest.application(), HumanBytes(bytes),
                                manifest.artifacts_size()));
}

// All guardrails of all components first, then what they write, then what is asked of it.
void AppendRestore(std::vector<Part>* parts, RestorePlan* plan) {
  const auto phase = [](const v1::Step& step) {
    const auto& before_all = kBeforeAnythingIsWritten;
    const bool before = std::find(before_all.begin(), before_all.end(), step.purpose()) != before_all.end();
    return before ? 0 : step.purpose() == v1::PURPOSE_RESTORE ? 1 : 2;
  };
  for (int wanted = 0; wanted < 3; ++wanted) {
    for (const Part& part : *parts) {
      for (const v1::Step& step : part.fragment.steps) {
        if (phase(step) == wanted) *plan->flow.add_steps() = step;
      }
    }
  }
  for (const Part& part : *parts) {
    AddObligations(part.fragment, &plan->flow);
    plan->effects.insert(plan->effects.end(), part.fragment.effects.begin(), part.fragment.effects.end());
  }
}

// Appends what keeps the volumes of all parts, after everything that those capture themselves.
Status AddVolumes(const v1::Manifest& header, const BackupRequest& request, std::vector<Part>* parts) {
  std::vector<ComponentVolumes> wanted;
  std::vector<std::string> captures;
  std::set<std::string> waited_for;
  for (const Part& part : *parts) {
    wanted.push_back({part.component->name(), part.fragment.volumes, part.component->quiesce(),
                      !part.component->hooks().empty()});
    const auto own = IdsOfPurposes(part.fragment.steps, {v1::PURPOSE_CAPTURE});
    captures.insert(captures.end(), own.begin(), own.end());
    for (const v1::Step& step : part.fragment.steps) {
      for (const v1::Edge& edge : step.after()) waited_for.insert(edge.step());
    }
  }
  const auto is_waited_for = [&](const std::string& id) { return waited_for.count(id) != 0; };
  captures.erase(std::remove_if(captures.begin(), captures.end(), is_waited_for), captures.end());
  ASSIGN_OR_RETURN(Fragment volumes, KeepVolumes(wanted, header, request, captures));
  if (!volumes.steps.empty())
    parts->push_back({&v1::Component::default_instance(), std::move(volumes), "", ""});
  return OkStatus();
}

// Appends what brings the volumes of all parts back.
Status AddReturns(const RestoreRequest& request, std::vector<Part>* parts) {
  std::vector<ComponentVolumes> wanted;
  for (const Part& part : *parts) wanted.push_back({part.component->name(), part.fragment.volumes});
  ASSIGN_OR_RETURN(Fragment volumes, ReturnVolumes(wanted, request));
  if (!volumes.steps.empty() || !volumes.missing.empty())
    parts->push_back({&v1::Component::default_instance(), std::move(volumes), "", ""});
  return OkStatus();
}

// No agent of a cluster starts servers of its own: a step that wants one would wait for ever.
Status RefuseServers(const std::vector<Part>& parts) {
  for (const Part& part : parts) {
    if (part.fragment.scratch.empty()) continue;
    return WithHint(FailedPrecondition("component '{}' is proven on a server of its own, and a drill on a "
                                       "cluster starts none in this version",
                                       part.component->name()),
                    "Restore it beside the original and look at it there: salvor restore create --component. "
                    "In an application of its own the volumes can be drilled.");
  }
  return OkStatus();
}

}  // namespace

StatusOr<BackupPlan> CompileBackup(const StrategyRegistry& strategies,
                                   const std::vector<v1::Component>& components, const v1::Manifest& header,
                                   const BackupRequest& request) {
  if (components.empty()) return FailedPrecondition("the application has no components");
  BackupRequest scoped = request;
  if (scoped.environment.empty()) scoped.environment = header.environment();
  BackupPlan plan;
  std::vector<Part> parts;
  for (const v1::Component& component : components) {
    ASSIGN_OR_RETURN(const Strategy* strategy, StrategyOf(strategies, component));
    RETURN_IF_ERROR(
        CheckDeclaration(*strategy, component, request.cluster ? v1::RUNTIME_KUBERNETES : v1::RUNTIME_HOST));
    ASSIGN_OR_RETURN_IN(Fragment fragment, strategy->Backup(component, scoped),
                        "component " + component.name());
    parts.push_back({&component, std::move(fragment), component.host(), ""});
  }
  RETURN_IF_ERROR(AddVolumes(header, scoped, &parts));
  const Places places =
      request.cluster ? Places::OfCluster(scoped.environment) : Places(scoped.environment, HostsOf(parts));
  *plan.flow.add_steps() = OpenLocation(request.location, true);
  for (const std::string& run : request.forget_runs)
    plan.flow.mutable_steps(0)->mutable_action()->mutable_location_open()->add_forget_runs(run);
  OpenOnOtherHosts(places, kLocationOpen, &parts, &plan.flow);
  for (Part& part : parts) {
    Settle(places, &part);
    plan.effects.insert(plan.effects.end(), part.fragment.effects.begin(), part.fragment.effects.end());
  }
  v1::Step manifest = WriteManifest(components, header, scoped, parts);
  const v1::ManifestWrite& write = manifest.action().manifest_write();
  RETURN_IF_ERROR(CheckManifestSize(write));
  std::string what = fmt::format("{} artifacts and the manifest", write.planned_size());
  for (const std::string& warning : write.manifest().warnings()) what += "; " + warning;
  plan.effects.push_back(MakeEffect("create", "backup " + request.backup, what));
  for (Part& part : parts) {
    for (v1::Step& step : part.fragment.steps) *plan.flow.add_steps() = std::move(step);
    AddObligations(part.fragment, &plan.flow);
  }
  for (v1::Step& part : SplitManifest(&manifest)) *plan.flow.add_steps() = std::move(part);
  *plan.flow.add_steps() = std::move(manifest);
  places.Close(&plan.flow);
  RETURN_IF_ERROR(Finish(&plan.flow));
  return plan;
}

StatusOr<RestorePlan> CompileRestore(const StrategyRegistry& strategies, const RestoreRequest& request,
                                     const std::map<std::string, v1::Component>& to,
                                     const std::vector<std::string>& components) {
  RETURN_IF_ERROR(CheckRequest(request, components));
  RETURN_IF_ERROR(RefuseRestore(request));
  RestoreRequest restore = request;
  restore.drill = false;
  ASSIGN_OR_RETURN(const OptionsByComponent options,
                   ResolveRestoreOptions(strategies, request.asked, *request.manifest, components));
  ASSIGN_OR_RETURN(std::vector<Part> parts, RestoreParts(strategies, restore, &to, components, options));
  RETURN_IF_ERROR(AddReturns(restore, &parts));
  RETURN_IF_ERROR(RefuseMissing(*request.manifest, parts));
  RestorePlan plan;
  plan.effects.push_back(ReadBackup(*request.manifest));
  const std::string& environment = EnvironmentOf(request);
  const Places places =
      request.to_cluster ? Places::OfCluster(environment) : Places(environment, HostsOf(parts));
  *plan.flow.add_steps() = OpenLocation(request.location, false);
  *plan.flow.add_steps() = CheckManifest(request, components);
  OpenOnOtherHosts(places, kManifestCheck, &parts, &plan.flow);
  JoinRestore(false, places, &parts);
  AppendRestore(&parts, &plan);
  places.Close(&plan.flow);
  RETURN_IF_ERROR(RefuseSharedDestinations(parts));
  RETURN_IF_ERROR(Finish(&plan.flow));
  return plan;
}

StatusOr<RestorePlan> CompileDrill(const StrategyRegistry& strategies, const RestoreRequest& request) {
  RestoreRequest drill = request;
  drill.drill = true;
  drill.to.reset();
  drill.asked.Clear();  // a drill has no options
  RETURN_IF_ERROR(CheckRequest(drill, {}));
  RETURN_IF_ERROR(RefuseRestore(drill));
  ASSIGN_OR_RETURN(std::vector<Part> parts, RestoreParts(strategies, drill, nullptr, {}, {}));
  if (drill.to_cluster) RETURN_IF_ERROR(RefuseServers(parts));
  RETURN_IF_ERROR(AddReturns(drill, &parts));
  const auto has_steps = [](const Part& part) { return !part.fragment.steps.empty(); };
  if (std::none_of(parts.begin(), parts.end(), has_steps))
    RETURN_IF_ERROR(RefuseMissing(*request.manifest, parts));

  RestorePlan plan;
  plan.effects.push_back(ReadBackup(*request.manifest));
  plan.effects.push_back(MakeEffect("create", "verification of backup " + request.manifest->backup(),
                                    "in the Location, beside the manifest"));
  Scratch scratch(kManifestCheck);
  for (const Part& part : parts) scratch.Add(part.fragment);
  *plan.flow.add_steps() = OpenLocation(request.location, false);
  *plan.flow.add_steps() = CheckManifest(request, {});
  scratch.Open(&plan.flow, &plan.effects);
  // A drill needs nothing of the hosts that its components were on: it is all at one place.
  const Places places = request.to_cluster ? Places::OfCluster(EnvironmentOf(request))
                                           : Places(EnvironmentOf(request), std::vector<std::string>());
  for (Part& part : parts) part.root = scratch.RootOf(part.fragment);
  JoinRestore(true, places, &parts);
  for (Part& part : parts) scratch.AwaitOthers(&part.fragment);
  AppendRestore(&parts, &plan);
  scratch.Close(&plan.flow);
  *plan.flow.add_steps() = WriteVerification(request, plan.flow);
  places.Close(&plan.flow);
  for (const Part& part : parts) {
    for (const v1::MissingArtifact& missing : part.fragment.missing) {
      plan.effects.push_back(
          MakeEffect("skip", fmt::format("{} of {}", missing.title(), missing.component()),
                     fmt::format("not in the backup ({}), so it cannot be proven", missing.why())));
    }
  }
  RETURN_IF_ERROR(RefuseSharedDestinations(parts));
  RETURN_IF_ERROR(Finish(&plan.flow));
  return plan;
}

}  // namespace salvor::strategies
