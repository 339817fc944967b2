#include "tools/cli/render/render_backup.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/text.h"
#include "proto/artifact.h"
#include "tools/cli/render/render_checks.h"
#include "tools/cli/terminal/table.h"
#include "tools/cli/terminal/text_layout.h"
#include "tools/cli/words/words.h"

namespace salvor::cli {
namespace {

struct ComponentSummary {
  std::string name, strategy;
  int64_t bytes = 0;
  std::map<std::string, int64_t> counts;  // by noun, in the singular
  int64_t exact = 0, count = 0, none = 0;
  int kept = 0, missing = 0;
  absl::Time from = absl::InfiniteFuture(), until = absl::InfinitePast();
};

ComponentSummary& Named(std::vector<ComponentSummary>& all, const std::string& name) {
  for (ComponentSummary& summary : all) {
    if (summary.name == name) return summary;
  }
  all.emplace_back();
  all.back().name = name;
  return all.back();
}

void AddArtifact(const v1::Artifact& artifact, ComponentSummary& summary) {
  const v1::Artifact::Contents contents = ContentsOf(artifact);
  if (!HoldsData(contents)) return;
  ++summary.kept;
  summary.bytes += artifact.bytes();
  for (const v1::Artifact::Count& count : contents.counts()) summary.counts[count.noun()] += count.number();
  summary.exact += artifact.coverage().exact();
  summary.count += artifact.coverage().count();
  summary.none += artifact.coverage().none();
  if (!artifact.has_consistent_at()) return;
  const absl::Time at = FromProto(artifact.consistent_at());
  summary.from = std::min(summary.from, at);
  summary.until =
      std::max(summary.until, artifact.has_consistent_until() ? FromProto(artifact.consistent_until()) : at);
}

// Declared components first, in their order; then whatever else is named.
std::vector<ComponentSummary> Summarize(const v1::Manifest& manifest) {
  std::vector<ComponentSummary> all;
  for (const v1::Component& component : manifest.components()) {
    Named(all, component.name()).strategy = StrategyWord(component);
  }
  for (const v1::Artifact& artifact : manifest.artifacts()) {
    if (!artifact.component().empty()) AddArtifact(artifact, Named(all, artifact.component()));
  }
  for (const v1::MissingArtifact& missing : manifest.missing()) {
    if (!missing.component().empty()) ++Named(all, missing.component()).missing;
  }
  return all;
}

Table::Cell CoverageOf(const ComponentSummary& summary) {
  if (summary.missing > 0) {
    return summary.kept == 0 ? Table::Cell("missing", Tone::kBad)
                             : Table::Cell(fmt::format("{} missing", summary.missing), Tone::kWarning);
  }
  if (summary.exact + summary.count + summary.none == 0) return summary.kept > 0 ? "kept" : "";
  if (summary.count + summary.none == 0) return {"exact", Tone::kGood};
  std::vector<std::string> parts;
  if (summary.exact > 0) parts.push_back(Grouped(summary.exact) + " exact");
  if (summary.count > 0) parts.push_back(Grouped(summary.count) + " count");
  if (summary.none > 0) parts.push_back(Grouped(summary.none) + " none");
  return {Join(parts, ", "), summary.none > 0 ? Tone::kWarning : Tone::kPlain};
}

std::string CountOrDash(const ComponentSummary& summary, const std::string& noun) {
  const auto count = summary.counts.find(noun);
  return count != summary.counts.end() && count->second > 0 ? Grouped(count->second) : "-";
}

// "12 documents, 1 index": what has no column of its own.
std::string OtherCounts(const ComponentSummary& summary) {
  std::vector<std::string> parts;
  for (const auto& [noun, number] : summary.counts) {
    if (noun == "row" || noun == "table" || noun == "file" || number <= 0) continue;
    parts.push_back(fmt::format("{} {}{}", Grouped(number), CleanText(noun), number == 1 ? "" : "s"));
  }
  return Join(parts, ", ");
}

// The time that each component's state is of, and how far the states lie apart.
std::string RenderInstants(const std::vector<ComponentSummary>& all, const Style& style) {
  absl::Time first = absl::InfiniteFuture(), last = absl::InfinitePast();
  for (const ComponentSummary& summary : all) {
    first = std::min(first, summary.from);
    last = std::max(last, summary.until);
  }
  if (first > last) return "";
  Table table({{.title = "COMPONENT"},
               {.title = "CONSISTENT AT"},
               {.title = "SKEW", .align = Align::kRight},
               {.title = "SPAN", .align = Align::kRight}});
  for (const ComponentSummary& summary : all) {
    if (summary.from > summary.until) continue;
    const absl::Duration span = summary.until - summary.from;
    table.Add({summary.name, Iso(style, true, ToProto(summary.from)),
               "+" + HumanDuration(summary.from - first),
               span > absl::ZeroDuration() ? HumanDuration(span) : "instant"});
  }
  return "\n" + table.Render(style) + "all of it lies within " + HumanDuration(last - first) + "\n";
}

std::string RenderArtifacts(const v1::Manifest& manifest, const Style& style) {
  Table table({{.title = "ARTIFACT"},
               {.title = "COMPONENT"},
               {.title = "KIND"},
               {.title = "BYTES", .align = Align::kRight},
               {.title = "SNAPSHOT"}});
  for (const v1::Artifact& artifact : manifest.artifacts()) {
    const v1::Artifact::Contents contents = ContentsOf(artifact);
    if ((!style.wide && !HoldsData(contents)) || !VolumeText(artifact).empty()) continue;
    table.Add({artifact.name(), artifact.component(), contents.word(), HumanBytes(artifact.bytes()),
               style.wide ? artifact.snapshot() : artifact.snapshot().substr(0, 8)});
  }
  return table.Empty() ? "" : "\n" + table.Render(style);
}

// "uploads: volume uploads of shop, file-system backup, 12.0 MiB", and what Velero says of the Backups that they are in.
std::string RenderVolumes(const v1::Manifest& manifest, const Style& style) {
  std::string lines;
  for (const v1::Artifact& artifact : manifest.artifacts()) {
    const std::string volume = VolumeText(artifact);
    if (!volume.empty()) lines += Indented(CleanText(artifact.component()) + ": " + volume, 2, style.width);
  }
  for (const v1::VeleroReport& report : manifest.velero()) {
    std::string line = fmt::format("Velero {}, Backup {} of {}: {}", report.velero_version(), report.backup(),
                                   Join({report.namespaces().begin(), report.namespaces().end()}, ", "),
                                   Count(report.objects(), "object"));
    if (report.warnings() > 0) line += ", " + Count(report.warnings(), "warning");
    if (report.errors() > 0) line += ", " + Count(report.errors(), "error");
    lines += Indented(CleanText(line), 2, style.width);
  }
  return lines.empty() ? "" : "\n" + Paint(style, Tone::kStrong, "volumes") + "\n" + lines;
}

std::string RenderNotCovered(const v1::Manifest& manifest, const Style& style) {
  std::string lines;
  for (const v1::Artifact& artifact : manifest.artifacts()) {
    const v1::CoverageSummary& coverage = artifact.coverage();
    for (const std::string& name : coverage.not_covered()) {
      lines += Indented(CleanText(artifact.component()) + " " + CleanText(name), 2, style.width);
    }
    const int64_t more = coverage.not_covered_total() - coverage.not_covered_size();
    if (more > 0) lines += fmt::format("  … and {} more in {}\n", Grouped(more), CleanText(artifact.name()));
  }
  return lines.empty() ? "" : "\n" + Paint(style, Tone::kWarning, "not covered") + "\n" + lines;
}

std::string RenderHead(const v1::Backup& backup, const Style& style) {
  std::string text = Paint(style, Tone::kStrong, CleanText(backup.name())) + "\n";
  const auto field = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) text += "  " + PadRight(name, 14) + value + "\n";
  };
  field("application", CleanText(backup.application()));
  if (backup.has_deletion()) {
    const v1::Deletion& deletion = backup.deletion();
    const Worded state = Word(deletion.state());
    field("deletion",
          Paint(style, state.tone, state.text) + " by " + CleanText(deletion.by()) + ", " +
              CleanText(deletion.run()) +
              (deletion.has_finished_at() ? ", " + Exact(style, true, deletion.finished_at()) : "") +
              (deletion.reason().empty() ? "" : ": " + CleanText(deletion.reason())));
    for (const std::string& left : deletion.left()) field("left", CleanText(left));
  }
  const Worded coverage = Word(backup.coverage());
  std::string covered = Paint(style, coverage.tone, coverage.text);
  if (!backup.reason().empty()) covered += ": " + CleanText(backup.reason());
  field("coverage", covered);
  const Worded verification = Word(backup.verification());
  std::string verified = Paint(style, verification.tone, verification.text);
  if (!backup.proven_by().empty()) verified += " by " + CleanText(backup.proven_by());
  if (backup.has_verified_at()) verified += ", " + Exact(style, true, backup.verified_at());
  if (!backup.verification_reason().empty()) verified += ": " + CleanText(backup.verification_reason());
  field("verification", verified);
  for (const std::string& doubt : backup.doubts()) field("doubt", CleanText(doubt));
  if (backup.has_acceptance())
    field("accepted",
          "by " + CleanText(backup.acceptance().by()) + ": " + CleanText(backup.acceptance().reason()));
  std::string made = Exact(style, backup.has_created_at(), backup.created_at());
  if (backup.has_created_at() && backup.has_finished_at()) {
    made += " in " + HumanDuration(FromProto(backup.finished_at()) - FromProto(backup.created_at()));
  }
  field("made", made);
  field("run", CleanText(backup.run()));
  field("environment", CleanText(backup.environment()));
  field("location", CleanText(backup.location()));
  if (style.wide) field("manifest", CleanText(backup.manifest().snapshot()));
  return text;
}

std::string ChecksOf(const v1::Verification& verification) {
  const CheckCounts counts = {.passed = verification.passed(),
                              .failed = verification.failed(),
                              .unverifiable = verification.unverifiable()};
  return counts.Total() == 0 ? "-" : SummarizeChecks(counts);
}

std::string IsolationOf(const v1::Verification& verification) {
  switch (verification.isolation()) {
    case v1::Verification::ISOLATION_HELD:
      return "held";
    case v1::Verification::ISOLATION_NOT_HELD:
      return "not isolated";
    default:
      return "-";
  }
}

// Every drill that said something about it, oldest first.
std::string RenderVerifications(const v1::Backup& backup, const Style& style) {
  Table table({{.title = "VERIFIED"},
               {.title = "VERDICT"},
               {.title = "BY"},
               {.title = "ISOLATION"},
               {.title = "CHECKS"},
               {.title = "REASON", .shrinks = true}});
  for (const v1::Verification& verification : backup.verifications()) {
    const Worded verdict = Word(verification.verdict());
    table.Add({When(style, verification.has_at(), verification.at()),
               {verdict.text, verdict.tone},
               verification.run(),
               IsolationOf(verification),
               ChecksOf(verification),
               verification.reason()});
  }
  return table.Empty() ? ""
                       : "\n" + Paint(style, Tone::kStrong, "verifications") + "\n" + table.Render(style);
}

}  // namespace

std::string RenderBackupTable(const v1::ListBackupsResponse& backups, const Style& style) {
  std::vector<Table::Column> columns = {{.title = "NAME"},
                                        {.title = "APPLICATION"},
                                        {.title = "COVERAGE"},
                                        {.title = "VERIFICATION"},
                                        {.title = "BYTES", .align = Align::kRight},
                                        {.title = style.wide ? "MADE" : "AGE"}};
  if (style.wide) {
    for (const char* title : {"ENVIRONMENT", "LOCATION", "RUN", "PROVEN BY"}) {
      columns.push_back({.title = title});
    }
  }
  Table table(columns);
  for (const v1::Backup& backup : backups.backups()) {
    const Worded coverage = StandingOf(backup), verification = Word(backup.verification());
    const int64_t bytes = DataBytes(backup.manifest());
    std::vector<Table::Cell> row = {backup.name(),
                                    backup.application(),
                                    {coverage.text, coverage.tone},
                                    {verification.text, verification.tone},
                                    bytes > 0 ? HumanBytes(bytes) : "-",
                                    When(style, backup.has_created_at(), backup.created_at())};
    if (style.wide) {
      row.emplace_back(backup.environment());
      row.emplace_back(backup.location());
      row.emplace_back(backup.run());
      row.emplace_back(backup.proven_by());
    }
    table.Add(std::move(row));
  }
  return table.Render(style);
}

std::string RenderComponents(const v1::Manifest& manifest, const Style& style) {
  const std::vector<ComponentSummary> all = Summarize(manifest);
  const bool has_others = std::any_of(
      all.begin(), all.end(), [](const ComponentSummary& summary) { return !OtherCounts(summary).empty(); });
  std::vector<Table::Column> columns = {{.title = "COMPONENT"},
                                        {.title = "STRATEGY"},
                                        {.title = "BYTES", .align = Align::kRight},
                                        {.title = "ROWS", .align = Align::kRight},
                                        {.title = "TABLES", .align = Align::kRight},
                                        {.title = "FILES", .align = Align::kRight}};
  if (has_others) columns.push_back({.title = "HOLDS"});
  columns.push_back({.title = "COVERAGE"});
  Table table(std::move(columns));
  for (const ComponentSummary& summary : all) {
    std::vector<Table::Cell> cells = {summary.name,
                                      summary.strategy,
                                      summary.kept > 0 ? HumanBytes(summary.bytes) : "-",
                                      CountOrDash(summary, "row"),
                                      CountOrDash(summary, "table"),
                                      CountOrDash(summary, "file")};
    if (has_others) cells.push_back(OtherCounts(summary));
    cells.push_back(CoverageOf(summary));
    table.Add(std::move(cells));
  }
  return table.Empty() ? "" : table.Render(style);
}

std::string RenderMissing(const v1::Manifest& manifest, const Style& style) {
  if (manifest.missing().empty()) return "";
  std::string text = "\n" + Paint(style, Tone::kBad, "missing") + "\n";
  for (const v1::MissingArtifact& missing : manifest.missing()) {
    std::string line = CleanText(missing.component()) + (missing.component().empty() ? "" : " ");
    line += CleanText(missing.title());
    if (!missing.why().empty()) line += ": " + CleanText(missing.why());
    text += Indented(line, 2, style.width);
  }
  return text;
}

std::string RenderBackup(const v1::Backup& backup, const Style& style) {
  const v1::Manifest& manifest = backup.manifest();
  std::string text = RenderHead(backup, style);
  if (const std::string components = RenderComponents(manifest, style); !components.empty()) {
    text += "\n" + components;
  }
  text += RenderInstants(Summarize(manifest), style) + RenderArtifacts(manifest, style) +
          RenderVolumes(manifest, style) + RenderMissing(manifest, style) + RenderNotCovered(manifest, style);
  text += RenderVerifications(backup, style);
  if (manifest.warnings_size() > 0) text += "\n" + Paint(style, Tone::kWarning, "warnings") + "\n";
  for (const std::string& warning : manifest.warnings()) text += Indented(CleanText(warning), 2, style.width);
  return text;
}

std::string NextForBackup(const v1::Backup& backup) {
  const std::string name = CleanText(backup.name());
  if (backup.coverage() == v1::Backup::COVERAGE_RUNNING) return "salvor run watch " + CleanText(backup.run());
  if (backup.coverage() == v1::Backup::COVERAGE_FAILED) return "salvor run show " + CleanText(backup.run());
  if (!backup.manifest().velero().empty()) {  // this version does not drill it
    if (backup.coverage() != v1::Backup::COVERAGE_COMPLETE) return "";
    return fmt::format("salvor restore create --backup {} --to {} --dry-run", name,
                       CleanText(backup.application()));
  }
  switch (backup.verification()) {
    case v1::Backup::VERIFICATION_PROVEN:
      return fmt::format("salvor restore create --backup {} --to {} --dry-run", name,
                         CleanText(backup.application()));
    case v1::Backup::VERIFICATION_DISPROVEN:
    case v1::Backup::VERIFICATION_UNVERIFIABLE:
      if (!backup.proven_by().empty()) return "salvor run show " + CleanText(backup.proven_by());
      break;
    default:
      break;
  }
  return fmt::format("salvor drill create --backup {} --wait", name);
}

}  // namespace salvor::cli
