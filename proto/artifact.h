// The contents of an artifact, for readers of every version's. An artifact says it itself; for one of 0.1, which does not,
// its kind and its flat fields do. Who makes an artifact repeats it in those fields, for programs of 0.1.
// Header-only and pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "salvor/v1/manifest.pb.h"

namespace salvor {

inline v1::Artifact::Contents MakeContents(std::string_view word, v1::Artifact::Role role) {
  v1::Artifact::Contents contents;
  contents.set_word(std::string(word));
  contents.set_role(role);
  return contents;
}

// `noun` in the singular.
inline void AddCount(std::string_view noun, int64_t number, v1::Artifact::Contents* contents) {
  v1::Artifact::Count* count = contents->add_counts();
  count->set_noun(std::string(noun));
  count->set_number(number);
}

// The contents of an artifact that does not say them. This list of kinds is complete: 0.1 has no other, and later ones
// say it themselves.
inline v1::Artifact::Contents ContentsByKind(const v1::Artifact& artifact) {
  using Artifact = v1::Artifact;
  const auto words = [&]() -> Artifact::Contents {
    switch (artifact.kind()) {
      case Artifact::KIND_POSTGRES_DUMP:
        return MakeContents("dump", Artifact::ROLE_DATA);
      case Artifact::KIND_POSTGRES_DETAILS:
        return MakeContents("dump details", Artifact::ROLE_DETAILS);
      case Artifact::KIND_POSTGRES_GLOBALS:
        return MakeContents("roles", Artifact::ROLE_DATA);
      case Artifact::KIND_TREE:
        return MakeContents("files", Artifact::ROLE_DATA);
      case Artifact::KIND_TREE_DETAILS:
        return MakeContents("file details", Artifact::ROLE_DETAILS);
      case Artifact::KIND_MANIFEST:
        return MakeContents("manifest", Artifact::ROLE_DETAILS);
      case Artifact::KIND_UNSPECIFIED:
        return MakeContents("data", Artifact::ROLE_DATA);
      default:
        return MakeContents("unknown", Artifact::ROLE_DETAILS);
    }
  };
  Artifact::Contents contents = words();
  if (artifact.rows() > 0 || artifact.tables() > 0) {
    AddCount("row", artifact.rows(), &contents);
    AddCount("table", artifact.tables(), &contents);
  }
  if (artifact.files() > 0) AddCount("file", artifact.files(), &contents);
  // A table that is not covered is in its dump and can't be compared; a file that is not covered is not in its tree.
  if (artifact.kind() == Artifact::KIND_TREE) contents.set_gaps(artifact.coverage().not_covered_total());
  return contents;
}

// The contents of an artifact, whoever made it and when.
inline v1::Artifact::Contents ContentsOf(const v1::Artifact& artifact) {
  return artifact.has_contents() ? artifact.contents() : ContentsByKind(artifact);
}

// Whether it is a snapshot of the Location's repository. Anything else is looked after by who keeps it.
inline bool IsInRepository(const v1::Artifact& artifact) {
  return artifact.keeper() == v1::Artifact::KEEPER_UNSPECIFIED ||
         artifact.keeper() == v1::Artifact::KEEPER_RESTIC;
}

// Whether it is the application's own data, and not what Salvor knows of it.
inline bool HoldsData(const v1::Artifact::Contents& contents) {
  return contents.role() != v1::Artifact::ROLE_DETAILS;
}

// How many of them are in it; 0 where it does not count them.
inline int64_t CountIn(const v1::Artifact::Contents& contents, std::string_view noun) {
  for (const v1::Artifact::Count& count : contents.counts()) {
    if (count.noun() == noun) return count.number();
  }
  return 0;
}

// The facts that only PostgreSQL's strategy and engine ask.
inline v1::PostgresFacts PostgresFactsOf(const v1::Artifact& artifact) {
  if (artifact.has_postgres()) return artifact.postgres();
  v1::PostgresFacts facts;
  facts.set_server_version_num(artifact.server_version_num());
  return facts;
}

// Says it once more where 0.1 looks for it. Called by who makes an artifact, as the last thing.
inline void RepeatForOlderReaders(v1::Artifact* artifact) {
  const v1::Artifact::Contents& contents = artifact->contents();
  artifact->set_rows(CountIn(contents, "row"));
  artifact->set_tables(static_cast<int32_t>(CountIn(contents, "table")));
  artifact->set_files(CountIn(contents, "file"));
  artifact->set_server_version_num(artifact->postgres().server_version_num());
}

}  // namespace salvor
