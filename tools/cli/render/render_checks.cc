#include "tools/cli/render/render_checks.h"

#include <fmt/core.h>

#include <utility>

#include "base/text.h"
#include "tools/cli/terminal/table.h"
#include "tools/cli/terminal/text_layout.h"
#include "tools/cli/words/words.h"

namespace salvor::cli {
namespace {

void CountOne(const v1::Check& check, CheckCounts& counts) {
  switch (check.verdict()) {
    case v1::Check::VERDICT_PASSED:
      ++counts.passed;
      break;
    case v1::Check::VERDICT_FAILED:
      ++counts.failed;
      if (check.not_built()) ++counts.not_built;
      break;
    default:
      ++counts.unverifiable;
      break;  // a verdict we do not know is none
  }
}

std::string RenderNamed(const std::vector<const v1::Check*>& checks, v1::Check::Verdict verdict, int most,
                        const Style& style) {
  const Worded wanted = Word(verdict);
  std::string text;
  int shown = 0, more = 0;
  for (const v1::Check* check : checks) {
    if (Word(check->verdict()).text != wanted.text || check->not_built()) continue;
    if (most > 0 && shown == most) {
      ++more;
      continue;
    }
    ++shown;
    std::vector<std::string> words;
    for (const std::string& word : {check->component(), check->kind(), check->subject()}) {
      if (!word.empty()) words.push_back(CleanText(word));
    }
    const std::string compared = check->compared().empty() ? "" : ": " + CleanText(check->compared());
    text += Indented(Join(words, " ") + compared, 2, style.width);
  }
  if (shown == 0) return "";
  if (more > 0) text += fmt::format("  … and {} more\n", more);
  return "\n" + Paint(style, wanted.tone, wanted.text) + "\n" + text;
}

}  // namespace

CheckCounts CountChecks(const std::vector<const v1::Check*>& checks) {
  CheckCounts counts;
  for (const v1::Check* check : checks) CountOne(*check, counts);
  return counts;
}

std::string SummarizeChecks(const CheckCounts& counts) {
  std::vector<std::string> parts;
  if (counts.passed > 0) parts.push_back(Grouped(counts.passed) + " passed");
  if (counts.failed > 0) parts.push_back(Grouped(counts.failed) + " failed");
  if (counts.unverifiable > 0) parts.push_back(Grouped(counts.unverifiable) + " unverifiable");
  return Count(counts.Total(), "check") + (parts.empty() ? "" : ": " + Join(parts, ", "));
}

std::string SummarizeChecks(const google::protobuf::RepeatedPtrField<v1::Check>& checks) {
  CheckCounts counts;
  for (const v1::Check& check : checks) CountOne(check, counts);
  return SummarizeChecks(counts);
}

std::string RenderChecks(const std::vector<const v1::Check*>& checks, int most, const Style& style) {
  if (checks.empty()) return "";
  // The counts stand in the order in which the checks were made.
  std::vector<std::pair<std::pair<std::string, std::string>, CheckCounts>> groups;
  for (const v1::Check* check : checks) {
    const std::pair<std::string, std::string> key(check->component(), check->kind());
    size_t at = 0;
    while (at < groups.size() && groups[at].first != key) ++at;
    if (at == groups.size()) groups.push_back({key, {}});
    CountOne(*check, groups[at].second);
  }
  Table table({{.title = "COMPONENT"},
               {.title = "CHECK"},
               {.title = "PASSED", .align = Align::kRight},
               {.title = "FAILED", .align = Align::kRight},
               {.title = "UNVERIFIABLE", .align = Align::kRight}});
  for (const auto& group : groups) {
    const CheckCounts& counts = group.second;
    table.Add({group.first.first.empty() ? "(all)" : CleanText(group.first.first),
               group.first.second,
               Grouped(counts.passed),
               {Grouped(counts.failed), counts.failed > 0 ? Tone::kBad : Tone::kPlain},
               {Grouped(counts.unverifiable), counts.unverifiable > 0 ? Tone::kWarning : Tone::kPlain}});
  }
  return table.Render(style) + RenderNamed(checks, v1::Check::VERDICT_FAILED, most, style) +
         RenderNamed(checks, v1::Check::VERDICT_UNVERIFIABLE, most, style);
}

std::string RenderNotBuilt(const v1::Run& run, int most, const Style& style) {
  std::string lines;
  int64_t shown = 0;
  for (const v1::StepStatus& step : run.steps()) {
    for (const v1::NotBuilt& one : step.result().not_built()) {
      if (most > 0 && shown == most) break;
      ++shown;
      lines += Indented(fmt::format("{} {}, {}: {}", CleanText(step.component()), CleanText(one.database()),
                                    CleanText(one.title()), CleanText(one.cause())),
                        2, style.width);
    }
  }
  const int64_t more = CountNotBuilt(run) - shown;
  if (more > 0) lines += fmt::format("  … and {} more\n", more);
  return lines.empty() ? "" : "\n" + Paint(style, Tone::kBad, "could not be built") + "\n" + lines;
}

int64_t CountNotBuilt(const v1::Run& run) {
  int64_t count = 0;
  for (const v1::StepStatus& step : run.steps())
    count += step.result().not_built_size() + step.result().not_built_left_out();
  return count;
}

std::string TitlesOfNotBuilt(const v1::Run& run) {
  constexpr size_t kMost = 5;
  std::vector<std::string> titles;
  for (const v1::StepStatus& step : run.steps()) {
    for (const v1::NotBuilt& one : step.result().not_built()) {
      if (titles.size() < kMost) titles.push_back(CleanText(one.title()));
    }
  }
  const int64_t more = CountNotBuilt(run) - static_cast<int64_t>(titles.size());
  return Join(titles, ", ") + (more > 0 ? fmt::format(" and {} more", more) : "");
}

}  // namespace salvor::cli
