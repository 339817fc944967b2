// The pieces that all strategies build their Steps from. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "salvor/v1/flow.pb.h"
#include "salvor/v1/manifest.pb.h"
#include "salvor/v1/object.pb.h"

namespace salvor::strategies {

// Step ids have at most 80 characters: component, verb and slug must fit.
inline constexpr size_t kMaxComponentNameLength = 32;
inline constexpr size_t kMaxSlugLength = 32;

// Titles are short: they stand in a tree below their component.
v1::Step MakeStep(std::string_view id, v1::Purpose purpose, std::string_view component,
                  std::string_view title);

// Adds an edge, once.
void After(v1::Step* step, const std::string& earlier,
           v1::Edge::Condition condition = v1::Edge::CONDITION_SUCCEEDED);

// Tries at most `attempts` times, the first pause `initial_s`, doubling up to `cap_s`, a fifth of it random.
void Retry(v1::Step* step, int attempts, int initial_s, int cap_s);

void SetAttemptTimeout(v1::Step* step, int seconds);

// 16 characters that stand for a text in a name where the text itself has no room, or must not be read.
std::string DigestOf(std::string_view text);

// Holds the repository shared: backups and restores go together, prune and check exclude them. The key's name
// is a digest, because a repository's address may hold credentials.
void UseLocation(v1::Step* step, const v1::ResticLocation& location);

// Holds `name` with at most `limit` holders.
void UseKey(v1::Step* step, const std::string& name, int limit, const std::string& title);

// One slug a name, in order, without dots, each different: "shop", "shop-2".
std::vector<std::string> UniqueSlugs(const std::vector<std::string>& names);

v1::ArtifactTarget MakeTarget(const v1::ResticLocation& location, const std::string& backup,
                              const std::string& component, const std::string& artifact);

v1::PlannedEffect MakeEffect(std::string_view verb, std::string_view subject, std::string_view detail);

// The artifact of that kind (and database, unless empty), or null.
const v1::Artifact* FindArtifact(const v1::Manifest& manifest, const std::string& component,
                                 v1::Artifact::Kind kind, const std::string& database = "");

// The artifact as an action needs it to fetch it: without what only people read, so that payloads stay small.
v1::Artifact ForAction(const v1::Artifact& artifact);

// Why the thing of that title is not in the backup, as the manifest tells it.
v1::MissingArtifact MakeMissing(const v1::Manifest& manifest, const std::string& component,
                                const std::string& title);

// "12 tables", "1 table".
std::string CountOf(int64_t number, std::string_view noun);

// The artifact for people: what is inside it, where it is kept and of when it is:
// "1.10 GiB, 12 tables, 13200301 rows, snapshot 1a2b3c4d, state of 2026-11-21T10:15:00Z".
std::string DescribeArtifact(const v1::Artifact& artifact, std::vector<std::string> contents);

}  // namespace salvor::strategies
