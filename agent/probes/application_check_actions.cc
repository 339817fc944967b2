#include "agent/probes/application_check_actions.h"

#include <optional>
#include <utility>

#include "agent/probes/application_check_room.h"
#include "agent/probes/application_http_check.h"
#include "agent/work/check_list.h"
#include "agent/work/registry.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {

namespace {

class Checker {
 public:
  Checker(const v1::ApplicationChecks& action, ActionContext& context, v1::ActionResult& result)
      : action_(action), context_(context), result_(result), checks_(action.component(), result) {}

  Status Run(const std::vector<CopyEngine>& engines) {
    for (const CopyEngine& engine : engines) RETURN_IF_ERROR(Open(engine));
    for (const v1::ApplicationCheck& check : action_.checks()) {
      if (context_.stop.stop_requested()) return Cancelled("stopped between checks");
      RETURN_IF_ERROR(RunOne(check));
    }
    for (const auto& copy : copies_) RETURN_IF_ERROR(copy->CheckStillLoaded());
    if (!skipped_.empty()) notes_.push_back("not asked in a drill: " + Join(skipped_, ", "));
    result_.set_note(Join(notes_, "; "));
    return OkStatus();
  }

 private:
  Status Open(const CopyEngine& engine) {
    const std::optional<CopyPlace> found = engine.find(action_);
    if (!found) return OkStatus();
    if (place_.scratch.empty()) place_.scratch = found->scratch;
    if (found->has_files) {
      place_.has_files = true;
      place_.root = found->root;
    }
    if (engine.open == nullptr) return OkStatus();
    ASSIGN_OR_RETURN(auto copy, engine.open(action_, context_));
    copies_.push_back(std::move(copy));
    return OkStatus();
  }

  Status RunOne(const v1::ApplicationCheck& check) {
    if (check.has_http()) return Http(check.name(), check.http());
    if (check.has_command()) return Command(check.name(), check.command());
    for (const auto& copy : copies_) {
      ASSIGN_OR_RETURN(const bool done, copy->Run(check, checks_));
      if (done) return OkStatus();
    }
    checks_.Unverifiable("application", check.name(), "this agent does not know the kind of probe");
    return OkStatus();
  }

  Status Http(const std::string& name, const v1::HttpCheck& probe) {
    if (action_.drill()) {
      skipped_.push_back(name);
      return OkStatus();
    }
    if (IsBesideTheOriginal(action_, place_)) {
      checks_.Unverifiable("application", name,
                           "it would ask the running application, which does not use this copy");
      return OkStatus();
    }
    const std::string fault = AskHttp(probe, context_.stop);
    if (context_.stop.stop_requested()) return Cancelled("cancelled while asking {}", name);
    if (fault.empty()) {
      checks_.Passed("application", name, "the application answered as expected");
    } else {
      checks_.Failed("application", name, fault);
    }
    return OkStatus();
  }

  Status Command(const std::string& name, const v1::CommandCheck& probe) {
    if (probe.argv().empty()) {
      checks_.Unverifiable("application", name, "no command is given");
      return OkStatus();
    }
    if (!TimeoutOf(probe))
      return InvalidArgument("timeout '{}' of check {} is not a duration; write 90s or 1h30m",
                             Elide(probe.timeout(), 40), name);
    if (const Status permitted = context_.config.policy.PermitCheckProgram(probe.argv(0)); !permitted.ok()) {
      checks_.Unverifiable("application", name, MessageOf(permitted) + ". " + HintOf(permitted));
      return OkStatus();
    }
    if (const std::string miss = WhyItMissesTheCopy(action_, probe); !miss.empty()) {
      checks_.Unverifiable("application", name, miss);
      return OkStatus();
    }
    auto room = CheckRoom::Make(action_, place_, copies_.empty() ? nullptr : copies_.front().get(), context_);
    if (!room.ok()) {
      checks_.Unverifiable("application", name,
                           "the command cannot be closed in: " + MessageOf(room.status()));
      return OkStatus();
    }
    if (!(*room)->NotIsolated().empty())
      notes_.push_back(fmt::format("not isolated: check {}: {}", name, (*room)->NotIsolated()));
    return RunCommand(name, probe, **room);
  }

  static std::optional<absl::Duration> TimeoutOf(const v1::CommandCheck& probe) {
    return probe.timeout().empty() ? absl::Seconds(60) : ParseDuration(probe.timeout());
  }

  Status RunCommand(const std::string& name, const v1::CommandCheck& probe, const CheckRoom& room) {
    const absl::Duration timeout = *TimeoutOf(probe);
    const SteadyTime deadline = std::min(SteadyNow() + timeout, context_.deadline);
    auto spec = room.Spec(probe);
    if (spec.ok()) {
      spec->on_output_line = spec->on_error_line = [this](std::string_view line) {
        if (context_.log) context_.log("check", line);
      };
    }
    const auto process = spec.ok() ? context_.tools.Start(*std::move(spec))
                                   : StatusOr<std::unique_ptr<RunningTool>>(spec.status());
    if (!process.ok()) {
      checks_.Unverifiable("application", name,
                           "the command cannot be started: " + MessageOf(process.status()));
      return OkStatus();
    }
    const auto exit = (*process)->Wait(context_.stop, deadline);
    if (exit.status().code() == absl::StatusCode::kDeadlineExceeded && SteadyNow() < context_.deadline) {
      checks_.Unverifiable("application", name, fmt::format("no answer within {}", HumanDuration(timeout)));
      return OkStatus();
    }
    RETURN_IF_ERROR(exit.status());
    Judge(name, *exit, room);
    return OkStatus();
  }

  void Judge(const std::string& name, const ExitStatus& exit, const CheckRoom& room) {
    const std::string words = RootCause(exit.error_tail);
    const std::string how = exit.Describe() + (words.empty() ? "" : ": " + ValidUtf8(words));
    if (exit.Ok()) return checks_.Passed("application", name, how);
    if (const std::string never = SandboxFailure(exit); !never.empty())
      return checks_.Unverifiable("application", name, "the command cannot be started: " + ValidUtf8(never));
    // Killed (128 + signal, from inside a sandbox), or without a program that it wants: it did not come to a verdict.
    const bool no_verdict = exit.signal != 0 || exit.code > 128 || exit.code == 126 || exit.code == 127;
    if (no_verdict || exit.code == 75) return checks_.Unverifiable("application", name, how);
    // A check without privileges may have failed for want of them, which says nothing about the copy.
    if (const std::string closed = room.FirstClosedFile(); !closed.empty()) {
      return checks_.Unverifiable(
          "application", name,
          fmt::format("{} (the check runs without privileges, and {} is not readable to everybody)", how,
                      CleanText(closed)));
    }
    std::vector<std::string> left;  // of all that there is: nobody knows what a command looks at
    for (const auto& copy : copies_) {
      for (std::string& one : copy->LeftEmpty()) left.push_back(std::move(one));
    }
    if (!left.empty()) {
      return checks_.Unverifiable(
          "application", name,
          fmt::format("{} (it may have looked at what is left empty in the drill: {})", how, Names(left)));
    }
    checks_.Failed("application", name, how);
  }

  const v1::ApplicationChecks& action_;
  ActionContext& context_;
  v1::ActionResult& result_;
  CheckList checks_;
  CopyPlace place_;
  std::vector<std::unique_ptr<CopyProbes>>
      copies_;  // an engine each; more than one has no kind of component yet
  std::vector<std::string> skipped_, notes_;
};

}  // namespace

StatusOr<v1::ActionResult> RunApplicationChecks(const v1::ApplicationChecks& action, ActionContext& context,
                                                const std::vector<CopyEngine>& engines) {
  v1::ActionResult result;
  RETURN_IF_ERROR(Checker(action, context, result).Run(engines));
  return result;
}

void RegisterApplicationChecks(ActionRegistry& registry, std::vector<CopyEngine> engines) {
  RegisterFunction<v1::ApplicationChecks>(
      registry, [engines = std::move(engines)](const v1::ApplicationChecks& action, ActionContext& context) {
        return RunApplicationChecks(action, context, engines);
      });
}

}  // namespace salvor::agent
