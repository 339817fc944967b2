#include "tools/cli/commands/wait.h"

#include <absl/time/clock.h>
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "base/text.h"
#include "proto/phase.h"
#include "proto/run_change.h"
#include "tools/cli/render/outcome.h"
#include "tools/cli/render/render_live.h"
#include "tools/cli/render/render_run.h"
#include "tools/cli/terminal/live_region.h"
#include "tools/cli/terminal/text_layout.h"
#include "tools/cli/words/words.h"

namespace salvor::cli {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);  // how often Ctrl-C and the clock are looked at
constexpr absl::Duration kRedraw = absl::Milliseconds(250);
// A stream is opened anew now and then: a connection that died without a word is not waited on for ever.
constexpr absl::Duration kStreamLife = absl::Minutes(1);
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(200);
constexpr absl::Duration kLongestBackoff = absl::Seconds(2);

// Shows a run on stderr as it goes on.
class Display {
 public:
  Display(Context& context, bool quiet)
      : context_(context),
        quiet_(quiet),
        animated_(!quiet && context.environment().err_is_tty &&
                  context.environment().Variable("TERM") != "dumb"),
        region_(context.err()) {}

  void Show(const v1::Run& run) {
    run_ = run;
    frame_.Observe(run);
    if (quiet_) return;
    if (animated_) {
      Redraw();
    } else {
      context_.err() << changes_.Update(run, PlainStyle()) << std::flush;
    }
  }

  // Durations go on between changes.
  void Tick() {
    if (animated_ && !run_.header().name().empty() && absl::Now() - drawn_at_ >= kRedraw) Redraw();
    if (!animated_ && !quiet_ && !run_.header().name().empty()) {
      context_.err() << changes_.Update(run_, PlainStyle()) << std::flush;
    }
  }

  void Notice(const std::string& notice) {
    if (notice == notice_) return;
    notice_ = notice;
    if (quiet_) return;
    const Style style = context_.ErrStyle();
    if (animated_ && !run_.header().name().empty()) {
      Redraw();
    } else {
      context_.err() << ClockTime(style, style.now) << " "
                     << (notice.empty() ? "control plane reachable again" : CleanText(notice)) << "\n"
                     << std::flush;
    }
  }

 private:
  Style PlainStyle() const {
    Style style = context_.ErrStyle();
    style.width = 0;
    return style;
  }

  void Redraw() {
    const TerminalSize size = context_.environment().size();
    const Style style = context_.ErrStyle();
    region_.Draw(frame_.Draw(run_, std::max(2, size.rows - 1), notice_, style), style.width);
    drawn_at_ = absl::Now();
  }

  Context& context_;
  const bool quiet_;
  const bool animated_;
  LiveRegion region_;
  LiveFrame frame_;
  ChangeLog changes_;
  v1::Run run_;
  std::string notice_;
  absl::Time drawn_at_ = absl::InfinitePast();
};

class RunWatcher {
 public:
  RunWatcher(Context& context, Client& client, const std::string& run, absl::Duration timeout, bool quiet)
      : client_(client),
        name_(run),
        deadline_(absl::Now() + timeout),
        display_(context, quiet),
        interrupt_(context.environment()) {}

  StatusOr<WaitResult> Wait() {
    absl::Duration backoff = kFirstBackoff;
    while (true) {
      const absl::Time opened = absl::Now();
      heard_ = false;
      const Status ended = WatchOnce();
      if (done_) return WaitResult{end_, run_};
      if (!ended.ok() && !IsPassing(ended)) return client_.Explain(ended);
      if (heard_) backoff = kFirstBackoff;
      const bool life_over = ended.code() == absl::StatusCode::kDeadlineExceeded && heard_ &&
                             absl::Now() - opened >= kStreamLife / 2;
      if (life_over) continue;
      display_.Notice(fmt::format("control plane not reachable at {}, waiting", client_.server()));
      Pause(backoff);
      if (done_) return WaitResult{end_, run_};
      backoff = std::min(backoff * 2, kLongestBackoff);
    }
  }

 private:
  // Returns when the stream ends, with how it ended, or when the waiting is done.
  Status WatchOnce() {
    // A little longer than we wait, so that it is not the stream that ends the waiting.
    const absl::Duration life = std::min(kStreamLife, deadline_ - absl::Now() + absl::Seconds(1));
    const std::unique_ptr<RunStream> stream = client_.WatchRun(name_, life);
    while (!CheckDone()) {
      v1::Run run;
      switch (stream->Next(std::min(kTick, std::max(deadline_ - absl::Now(), absl::Milliseconds(1))), &run)) {
        case RunStream::Got::kEnd:
          return stream->status();
        case RunStream::Got::kNothingYet:
          display_.Tick();
          break;
        case RunStream::Got::kMessage:
          Take(std::move(run));
          break;
      }
    }
    return OkStatus();
  }

  void Take(v1::Run next) {
    heard_ = true;
    TakeNext(std::move(next), run_);
    display_.Notice("");
    display_.Show(run_);
    if (IsAtRest(run_.phase())) Done(WaitEnd::kOver);
  }

  void Pause(absl::Duration duration) {
    const absl::Time until = absl::Now() + duration;
    while (!CheckDone() && absl::Now() < until) {
      absl::SleepFor(std::min(kTick, until - absl::Now()));
      display_.Tick();
    }
  }

  bool CheckDone() {
    if (!done_ && interrupt_.Raised()) Done(WaitEnd::kInterrupted);
    if (!done_ && absl::Now() >= deadline_) Done(WaitEnd::kTimedOut);
    return done_;
  }

  void Done(WaitEnd end) {
    done_ = true;
    end_ = end;
  }

  Client& client_;
  const std::string name_;
  const absl::Time deadline_;
  Display display_;
  InterruptScope interrupt_;
  v1::Run run_;
  bool heard_ = false;
  bool done_ = false;
  WaitEnd end_ = WaitEnd::kOver;
};

// The record of the backup this run made. Other accounts need none.
StatusOr<v1::Backup> BackupOf(Client& client, const v1::Run& run) {
  v1::GetBackupRequest request;
  request.set_name(run.header().backup());
  return client.Call(&ControlStub::GetBackup, request);
}

ExitCode Account(Context& context, Client& client, const v1::Run& run, const std::string& output) {
  const bool wants_backup = run.header().kind() == v1::RUN_KIND_BACKUP;
  StatusOr<v1::Backup> backup = NotFound("the run names no backup");
  if (wants_backup && !run.header().backup().empty()) backup = BackupOf(client, run);
  Outcome outcome = OutcomeOf(run, backup.ok() ? &*backup : nullptr, context.OutStyle());
  if (output == "table") {
    context.out() << outcome.text;
  } else if (output == "name") {
    // which is out already
  } else if (const ExitCode printed = context.Print(run, output); printed != ExitCode::kOk) {
    return printed;
  }
  if (wants_backup && !backup.ok() && run.phase() == v1::RUN_PHASE_SUCCEEDED) {
    context.out().flush();
    context.err() << "warning: the record of " << CleanText(run.header().backup())
                  << " could not be read: " << CleanText(MessageOf(backup.status())) << "\n";
  }
  if (outcome.code != ExitCode::kOk) context.Fail(outcome.code, outcome.error, outcome.cause, outcome.hint);
  context.Next(outcome.next);
  return outcome.code;
}

}  // namespace

bool IsPassing(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:  // the stream ended although the run goes on: the control plane stops
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDeadlineExceeded:
      return true;
    default:
      return false;
  }
}

StatusOr<WaitResult> WaitForRun(Context& context, const std::string& run, absl::Duration timeout,
                                bool quiet) {
  ASSIGN_OR_RETURN(Client* const client, context.Connect());
  return RunWatcher(context, *client, run, timeout, quiet).Wait();
}

ExitCode StoppedWaiting(Context& context, const std::string& run, WaitEnd end, absl::Duration timeout) {
  const std::string name = CleanText(run);
  if (end == WaitEnd::kTimedOut) {
    return context.Fail(ExitCode::kTimedOut,
                        fmt::format("{} is still running after {}", name, HumanDuration(timeout)), "",
                        fmt::format("It continues in the background: `salvor run watch {}`.", name));
  }
  context.err() << "\nstopped waiting; " << name << " goes on\n"
                << "  come back:  salvor run watch " << name << "\n"
                << "  stop it:    salvor run cancel " << name << "\n"
                << std::flush;
  return ExitCode::kInterrupted;
}

ExitCode FollowRun(Context& context, const std::string& run, absl::Duration timeout,
                   const std::string& output) {
  const StatusOr<WaitResult> result = WaitForRun(context, run, timeout, false);
  const std::string name = CleanText(run);
  if (!result.ok()) return context.Fail("watch " + name, result.status());
  if (result->end != WaitEnd::kOver) return StoppedWaiting(context, run, result->end, timeout);
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail("watch " + name, client.status());
  return Account(context, **client, result->run, output);
}

void AddStartOptions(CLI::App& command, StartOptions& options, const std::string& dry_run) {
  command.add_flag("--dry-run", options.dry_run, dry_run);
  command.add_flag("--wait,--watch", options.wait, "follow the run; its outcome is the exit code");
  AddDuration(command, "--timeout", options.timeout, "how long to wait at most (default 24h)");
  AddDuration(command, "--start-within", options.start_within,
              "give the run up when no agent has begun it by then (default: it waits)");
  AddOutput(command, options.output, {"table", "wide", "json", "yaml", "name"});
}

ExitCode AfterStart(Context& context, const v1::CreateRunResponse& response, const StartOptions& options) {
  const bool as_data = options.output == "json" || options.output == "yaml";
  if (options.dry_run) {
    if (as_data) {
      const ExitCode printed = context.Print(response, options.output);
      if (printed != ExitCode::kOk) return printed;
    } else if (options.output != "name") {
      context.out() << RenderPlan(response, context.OutStyle(options.output == "wide"));
    }
    for (const v1::PlannedEffect& effect : response.effects()) {
      if (effect.verb() != "refuse") continue;
      return context.Fail(ExitCode::kConflict, "this would be refused: " + effect.subject(), effect.detail(),
                          "");
    }
    context.out().flush();
    const bool leaves_checks = std::any_of(response.effects().begin(), response.effects().end(),
                                           [](const auto& effect) { return effect.verb() == "check"; });
    context.err() << "dry run: nothing was started\n"
                  << (leaves_checks
                          ? "not checked: what stands as 'check' above; the run looks at it first, and "
                            "writes nothing\nwhen it does not hold\n"
                          : "")
                  << std::flush;
    return ExitCode::kOk;
  }
  if (options.output == "name") context.out() << CleanText(response.run()) << "\n" << std::flush;
  if (response.existing())
    context.err() << "a run of this has not begun yet, so no other was started: " << CleanText(response.run())
                  << "\n";
  if (options.wait) {
    return FollowRun(context, response.run(), DurationValue(options.timeout),
                     options.output == "wide" ? "table" : options.output);
  }
  if (as_data) return context.Print(response, options.output);
  if (options.output == "name") return ExitCode::kOk;
  context.out() << (response.existing() ? "waiting " : "started ") << CleanText(response.run()) << "\n";
  context.Next({"salvor run watch " + CleanText(response.run())});
  return ExitCode::kOk;
}

}  // namespace salvor::cli
