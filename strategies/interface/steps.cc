#include "strategies/interface/steps.h"

#include <absl/time/time.h>
#include <fmt/core.h>

#include <set>

#include "base/names.h"
#include "base/text.h"
#include "proto/time.h"

namespace salvor::strategies {
namespace {

// FNV-1a: for names only, of which there are few beside each other.
uint64_t Digest(std::string_view text) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

std::string UtcTime(const google::protobuf::Timestamp& time) {
  return std::string(absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", FromProto(time), absl::UTCTimeZone()));
}

// Dots separate the parts of artifact names ("db.dump.shop.details"), so a database's slug has none.
std::string SlugWithoutDots(const std::string& name) {
  std::string slug = Slug(name);
  for (char& c : slug) {
    if (c == '.') c = '-';
  }
  if (slug.size() > kMaxSlugLength) slug.resize(kMaxSlugLength);
  while (slug.size() > 1 && slug.back() == '-') slug.pop_back();
  return slug;
}

}  // namespace

v1::Step MakeStep(std::string_view id, v1::Purpose purpose, std::string_view component,
                  std::string_view title) {
  v1::Step step;
  step.set_id(std::string(id));
  step.set_purpose(purpose);
  step.set_component(std::string(component));
  step.set_title(std::string(title));
  return step;
}

void After(v1::Step* step, const std::string& earlier, v1::Edge::Condition condition) {
  for (const v1::Edge& edge : step->after()) {
    if (edge.step() == earlier && edge.condition() == condition) return;
  }
  v1::Edge* edge = step->add_after();
  edge->set_step(earlier);
  edge->set_condition(condition);
}

void Retry(v1::Step* step, int attempts, int initial_s, int cap_s) {
  v1::RetryPolicy* retry = step->mutable_retry();
  retry->set_attempts(attempts);
  retry->mutable_initial()->set_seconds(initial_s);
  retry->mutable_cap()->set_seconds(cap_s);
  retry->set_factor(2);
  retry->set_jitter(0.2);
}

void SetAttemptTimeout(v1::Step* step, int seconds) { step->mutable_attempt_timeout()->set_seconds(seconds); }

std::string DigestOf(std::string_view text) { return fmt::format("{:016x}", Digest(text)); }

void UseLocation(v1::Step* step, const v1::ResticLocation& location) {
  UseKey(step, "location:" + DigestOf(location.repository()), 0, "this repository");
}

void UseKey(v1::Step* step, const std::string& name, int limit, const std::string& title) {
  v1::ConcurrencyKey* key = step->add_keys();
  key->set_name(name);
  key->set_limit(limit);
  key->set_title(title);
}

std::vector<std::string> UniqueSlugs(const std::vector<std::string>& names) {
  std::vector<std::string> slugs;
  std::set<std::string> taken;
  for (const std::string& name : names) {
    const std::string base = SlugWithoutDots(name);
    std::string slug = base;
    for (int number = 2; !taken.insert(slug).second; ++number) slug = fmt::format("{}-{}", base, number);
    slugs.push_back(slug);
  }
  return slugs;
}

v1::ArtifactTarget MakeTarget(const v1::ResticLocation& location, const std::string& backup,
                              const std::string& component, const std::string& artifact) {
  v1::ArtifactTarget target;
  *target.mutable_location() = location;
  target.set_backup(backup);
  target.set_component(component);
  target.set_artifact(artifact);
  return target;
}

v1::PlannedEffect MakeEffect(std::string_view verb, std::string_view subject, std::string_view detail) {
  v1::PlannedEffect effect;
  effect.set_verb(std::string(verb));
  effect.set_subject(std::string(subject));
  effect.set_detail(std::string(detail));
  return effect;
}

const v1::Artifact* FindArtifact(const v1::Manifest& manifest, const std::string& component,
                                 v1::Artifact::Kind kind, const std::string& database) {
  for (const v1::Artifact& artifact : manifest.artifacts()) {
    if (artifact.component() == component && artifact.kind() == kind && artifact.database() == database) {
      return &artifact;
    }
  }
  return nullptr;
}

v1::Artifact ForAction(const v1::Artifact& artifact) {
  v1::Artifact lean = artifact;
  lean.clear_coverage();
  return lean;
}

v1::MissingArtifact MakeMissing(const v1::Manifest& manifest, const std::string& component,
                                const std::string& title) {
  for (const v1::MissingArtifact& missing : manifest.missing()) {
    if (missing.component() == component && missing.title() == title) return missing;
  }
  v1::MissingArtifact missing;
  missing.set_component(component);
  missing.set_title(title);
  missing.set_why("the manifest does not name it");
  return missing;
}

std::string CountOf(int64_t number, std::string_view noun) {
  return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

std::string DescribeArtifact(const v1::Artifact& artifact, std::vector<std::string> contents) {
  if (!artifact.snapshot().empty()) contents.push_back("snapshot " + artifact.snapshot().substr(0, 8));
  if (artifact.has_consistent_at()) {
    std::string state = "state of " + UtcTime(artifact.consistent_at());
    if (artifact.has_consistent_until()) state += " to " + UtcTime(artifact.consistent_until());
    contents.push_back(state);
  }
  return Join(contents, ", ");
}

}  // namespace salvor::strategies
