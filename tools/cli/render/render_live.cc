#include "tools/cli/render/render_live.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.h"
#include "proto/phase.h"
#include "tools/cli/render/outcome.h"
#include "tools/cli/terminal/text_layout.h"
#include "tools/cli/words/words.h"

namespace salvor::cli {
namespace {

constexpr absl::Duration kProgressEvery = absl::Seconds(10);
constexpr char kGoesOn[] = "goes on";

const char* Sign(v1::StepPhase phase) {
  switch (phase) {
    case v1::STEP_PHASE_RUNNING:
      return "▸";
    case v1::STEP_PHASE_SUCCEEDED:
      return "✓";
    case v1::STEP_PHASE_FAILED:
      return "✗";
    case v1::STEP_PHASE_BACKOFF:
    case v1::STEP_PHASE_PAUSED:
      return "!";
    case v1::STEP_PHASE_SKIPPED:
    case v1::STEP_PHASE_CANCELLED:
      return "–";
    default:
      return "·";
  }
}

// The rank of what needs eyes, and so stays when the screen is too low: lower is kept longer.
int Importance(v1::StepPhase phase) {
  switch (phase) {
    case v1::STEP_PHASE_FAILED:
      return 0;
    case v1::STEP_PHASE_PAUSED:
      return 1;
    case v1::STEP_PHASE_RUNNING:
      return 2;
    case v1::STEP_PHASE_BACKOFF:
      return 3;
    case v1::STEP_PHASE_CANCELLED:
      return 4;
    case v1::STEP_PHASE_READY:
      return 5;
    case v1::STEP_PHASE_PENDING:
      return 6;
    default:
      return 7;  // succeeded, skipped
  }
}

// Indices of the steps to show, in order, when only `room` lines are left.
std::vector<int> Choose(const v1::Run& run, int room) {
  std::vector<int> chosen;
  for (int i = 0; i < run.steps_size(); ++i) chosen.push_back(i);
  if (static_cast<int>(chosen.size()) <= room) return chosen;
  std::stable_sort(chosen.begin(), chosen.end(), [&](int a, int b) {
    return Importance(run.steps(a).phase()) < Importance(run.steps(b).phase());
  });
  chosen.resize(static_cast<size_t>(std::max(0, room - 1)));  // one line says what is not shown
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

// Says what the run waits for when nothing of it goes on, else nothing: "no agent serves environment vps-1 since
// 14:02".
std::string StandsStill(const v1::Run& run, const Style& style) {
  if (IsAtRest(run.phase())) return "";
  std::string waits;
  for (const v1::StepStatus& step : run.steps()) {
    const std::string waits_for = WaitsForText(step, style);
    const bool goes_on = step.phase() == v1::STEP_PHASE_RUNNING && waits_for.empty();
    if (goes_on || step.phase() == v1::STEP_PHASE_BACKOFF || step.phase() == v1::STEP_PHASE_PAUSED) return "";
    if (waits.empty()) waits = waits_for;
  }
  return waits;
}

// The time at which the obligation became what its phase says; now where a control plane of 0.1 does not say it.
absl::Time ChangedAt(const v1::ObligationStatus& obligation, const Style& style) {
  if (obligation.phase() != v1::ObligationStatus::PHASE_OPEN)
    return obligation.has_settled_at() ? FromProto(obligation.settled_at()) : style.now;
  return obligation.has_opened_at() ? FromProto(obligation.opened_at()) : style.now;
}

std::string WhyOf(const v1::StepStatus& step) {
  std::string why = CleanText(step.reason());
  return why.empty() ? CleanText(step.result().error().message()) : why;
}

}  // namespace

void LiveFrame::Observe(const v1::Run& run) {
  for (const v1::StepStatus& step : run.steps()) {
    if (step.phase() == v1::STEP_PHASE_RUNNING && step.progress().has_at()) {
      rates_[step.id()].Add(FromProto(step.progress().at()), step.progress().bytes_done());
    }
  }
}

std::string LiveFrame::StepLine(const v1::StepStatus& step, int id_width, const Style& style) const {
  const Worded word = Word(step.phase());
  std::vector<std::string> parts;
  if (const std::string waits = WaitsForText(step, style); !waits.empty()) {
    parts.push_back("waiting: " + waits);
  } else if (step.phase() == v1::STEP_PHASE_RUNNING) {
    parts.push_back(WholeSeconds(DurationOf(step, style.now)));
    const auto rate = rates_.find(step.id());
    const std::string progress =
        RenderProgress(step.progress(), rate == rates_.end() ? std::nullopt : rate->second.BytesPerSecond());
    if (!progress.empty()) parts.push_back(progress);
  } else if (step.phase() == v1::STEP_PHASE_SUCCEEDED) {
    parts.push_back(HumanDuration(DurationOf(step, style.now)));
    if (const std::string kept = KeptBy(step); !kept.empty()) parts.push_back(kept);
  } else {
    const std::string why = WhyOf(step);
    parts.push_back(why.empty() ? word.text : word.text + ": " + why);
  }
  if (step.attempt() > 1 && !IsOver(step.phase())) parts.push_back(fmt::format("attempt {}", step.attempt()));
  const int room = style.width - 4 - id_width - 2;
  const std::string id = PadRight(ElideMiddle(CleanText(step.id()), id_width), id_width);
  return "  " + Paint(style, word.tone, Sign(step.phase())) + " " + id + "  " +
         Paint(style, Importance(step.phase()) <= 3 ? word.tone : Tone::kDim,
               ElideEnd(Join(parts, ", "), room));
}

std::vector<std::string> LiveFrame::Draw(const v1::Run& run, int rows, const std::string& notice,
                                         const Style& style) {
  const std::string stands = StandsStill(run, style);
  const std::string last = !notice.empty() || stands.empty() ? notice : "waiting: " + stands;
  const bool waits = !stands.empty() && run.phase() == v1::RUN_PHASE_RUNNING;
  const Worded phase = waits ? Worded{"waiting", Tone::kWarning} : VerdictWord(run);
  const std::string tail =
      fmt::format(" {} {}, {} of {}", phase.text, WholeSeconds(DurationOf(run, style.now)), StepsOver(run),
                  Count(run.steps_size(), "step"));
  const std::string subject = ElideMiddle(SubjectOf(run.header()), style.width - DisplayWidth(tail));
  std::vector<std::string> lines = {Paint(style, Tone::kStrong, subject) +
                                    Paint(style, phase.tone, ElideEnd(tail, style.width))};
  int id_width = 0;
  for (const v1::StepStatus& step : run.steps())
    id_width = std::max(id_width, DisplayWidth(CleanText(step.id())));
  id_width = std::min(id_width, std::max(8, style.width - 24));
  const int room = std::max(1, rows - 1 - (last.empty() ? 0 : 1));
  const std::vector<int> chosen = Choose(run, room);
  for (const int i : chosen) lines.push_back(StepLine(run.steps(i), id_width, style));
  if (const int hidden = run.steps_size() - static_cast<int>(chosen.size()); hidden > 0) {
    lines.push_back(
        Paint(style, Tone::kDim, ElideEnd(fmt::format("  … {} more", Count(hidden, "step")), style.width)));
  }
  if (!last.empty()) lines.push_back(Paint(style, Tone::kWarning, ElideEnd(last, style.width)));
  return lines;
}

std::string ChangeLog::StepChange(const v1::Run& run, const v1::StepStatus& step, Seen& seen,
                                  const Style& style) {
  const auto line = [&](absl::Time at, const std::string& what) {
    return fmt::format("{} {} {}\n", ClockTime(style, at), CleanText(step.id()), what);
  };
  const std::string attempt = step.attempt() > 1 ? fmt::format(" (attempt {})", step.attempt()) : "";
  const std::string why = WhyOf(step).empty() ? "" : ": " + WhyOf(step);
  const absl::Time ended = step.has_finished_at() ? FromProto(step.finished_at()) : style.now;
  switch (step.phase()) {
    case v1::STEP_PHASE_RUNNING:
      return line(step.has_started_at() ? FromProto(step.started_at()) : style.now, "running" + attempt);
    case v1::STEP_PHASE_BACKOFF:
      return line(style.now, "failed, will try again" + attempt + why);
    case v1::STEP_PHASE_PAUSED:
      return line(style.now, "paused until somebody decides" + attempt + why);
    case v1::STEP_PHASE_SUCCEEDED:
    case v1::STEP_PHASE_FAILED:
    case v1::STEP_PHASE_SKIPPED:
    case v1::STEP_PHASE_CANCELLED:
      break;
    default:
      return "";
  }
  std::string what = fmt::format("{} {}/{}", Word(step.phase()).text, ++over_, run.steps_size());
  if (step.has_started_at()) what += " in " + HumanDuration(DurationOf(step, style.now));
  if (const std::string kept = KeptBy(step); !kept.empty()) what += ", " + kept;
  std::string text = line(ended, what + (step.phase() == v1::STEP_PHASE_SUCCEEDED ? "" : why));
  for (const std::string& warning : step.result().warnings()) {
    text += line(ended, "warning: " + CleanText(warning));
  }
  seen.said_at = style.now;
  return text;
}

std::string ChangeLog::WaitingChange(const v1::Run& run, const Style& style) {
  std::set<std::string> said;
  for (const auto& [step, waited] : waits_) said.insert(waited.what);
  std::vector<std::pair<std::string, std::vector<std::string>>> news;  // what happened, and to which steps
  const auto add = [&news](const std::string& what, const std::string& step) {
    auto same = std::find_if(news.begin(), news.end(), [&](const auto& one) { return one.first == what; });
    if (same == news.end()) same = news.insert(news.end(), {what, {}});
    same->second.push_back(CleanText(step));
  };
  for (const v1::StepStatus& step : run.steps()) {
    const bool running = step.phase() == v1::STEP_PHASE_RUNNING;
    const std::string waits_for = WaitsForText(step, style);
    const std::string reason =
        waits_for.empty() ? "" : fmt::format("{} since {}", step.reason(), step.waits_since().seconds());
    const Waited now = {waits_for, reason, running, step.attempt()};
    const Waited before = std::exchange(waits_[step.id()], now);
    if (now.text.empty()) {
      // A step that begins has a line of its own.
      if (!before.text.empty() && before.running && running && before.attempt == now.attempt)
        add(kGoesOn, step.id());
    } else if (said.count(now.what) == 0) {
      add("waiting: " + now.text, step.id());
    }
  }
  std::string text;
  for (const auto& [what, steps] : news) {
    const std::string others = steps.size() > 1 ? fmt::format(" and {} more", steps.size() - 1) : "";
    const std::string words = what == kGoesOn && steps.size() > 1 ? "go on" : what;
    text += fmt::format("{} {}{} {}\n", ClockTime(style, style.now), steps.front(), others, words);
  }
  return text;
}

std::string ChangeLog::Update(const v1::Run& run, const Style& style) {
  std::string text;
  for (const v1::StepStatus& step : run.steps()) {
    Seen& seen = steps_[step.id()];
    if (step.phase() != seen.phase || step.attempt() != seen.attempt) {
      seen.phase = step.phase();
      seen.attempt = step.attempt();
      seen.said_at = style.now;
      text += StepChange(run, step, seen, style);
    }
    if (step.phase() != v1::STEP_PHASE_RUNNING || !step.has_progress()) continue;
    seen.rate.Add(step.progress().has_at() ? FromProto(step.progress().at()) : style.now,
                  step.progress().bytes_done());
    if (style.now - seen.said_at < kProgressEvery) continue;
    const std::string progress = RenderProgress(step.progress(), seen.rate.BytesPerSecond());
    if (progress.empty()) continue;
    seen.said_at = style.now;
    text += fmt::format("{} {} {}\n", ClockTime(style, style.now), CleanText(step.id()), progress);
  }
  text += WaitingChange(run, style);
  for (const v1::ObligationStatus& obligation : run.obligations()) {
    v1::ObligationStatus::Phase& seen = obligations_[obligation.name()];
    const bool news = obligation.phase() != seen &&
                      obligation.phase() != v1::ObligationStatus::PHASE_PENDING &&
                      obligation.phase() != v1::ObligationStatus::PHASE_NOT_NEEDED;
    seen = obligation.phase();
    if (!news) continue;
    text += fmt::format("{} {}\n", ClockTime(style, ChangedAt(obligation, style)),
                        ObligationText(obligation, run.header()));
  }
  if (run.phase() != phase_) {
    const bool said = phase_ != v1::RUN_PHASE_UNSPECIFIED || run.phase() != v1::RUN_PHASE_RUNNING;
    phase_ = run.phase();
    if (said) {
      const absl::Time at = run.has_finished_at() ? FromProto(run.finished_at()) : style.now;
      const std::string why = ReasonOf(run).empty() ? "" : ": " + CleanText(ReasonOf(run));
      text += fmt::format("{} run {}{}\n", ClockTime(style, at), VerdictWord(run).text, why);
    }
  }
  return text;
}

}  // namespace salvor::cli
