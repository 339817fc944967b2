#include "proto/artifact.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <vector>

namespace salvor {
namespace {

using google::protobuf::util::MessageDifferencer;
using v1::Artifact;

// Each kind of artifact that 0.1 knows, as its maker says it today.
std::vector<Artifact> OfEveryKind() {
  Artifact dump;
  dump.set_kind(Artifact::KIND_POSTGRES_DUMP);
  *dump.mutable_contents() = MakeContents("dump", Artifact::ROLE_DATA);
  AddCount("row", 62000, dump.mutable_contents());
  AddCount("table", 2, dump.mutable_contents());
  dump.mutable_postgres()->set_server_version_num(150018);
  dump.mutable_coverage()->set_not_covered_total(1);
  Artifact details;
  details.set_kind(Artifact::KIND_POSTGRES_DETAILS);
  *details.mutable_contents() = MakeContents("dump details", Artifact::ROLE_DETAILS);
  details.mutable_postgres()->set_server_version_num(150018);
  Artifact roles;
  roles.set_kind(Artifact::KIND_POSTGRES_GLOBALS);
  *roles.mutable_contents() = MakeContents("roles", Artifact::ROLE_DATA);
  roles.mutable_postgres()->set_server_version_num(150018);
  Artifact tree;
  tree.set_kind(Artifact::KIND_TREE);
  *tree.mutable_contents() = MakeContents("files", Artifact::ROLE_DATA);
  AddCount("file", 11, tree.mutable_contents());
  tree.mutable_contents()->set_gaps(3);
  tree.mutable_coverage()->set_not_covered_total(3);
  Artifact tree_details;
  tree_details.set_kind(Artifact::KIND_TREE_DETAILS);
  *tree_details.mutable_contents() = MakeContents("file details", Artifact::ROLE_DETAILS);
  return {dump, details, roles, tree, tree_details};
}

TEST(Artifact, WhatAnEarlierVersionReadsAndWritesSaysTheSame) {
  for (const Artifact& made : OfEveryKind()) {
    SCOPED_TRACE(Artifact::Kind_Name(made.kind()));
    Artifact earlier = made;
    RepeatForOlderReaders(&earlier);
    earlier.clear_contents();
    earlier.clear_facts();
    EXPECT_TRUE(MessageDifferencer::Equals(ContentsOf(earlier), ContentsOf(made)))
        << ContentsOf(earlier).DebugString();
    EXPECT_EQ(PostgresFactsOf(earlier).server_version_num(), made.postgres().server_version_num());
  }
}

TEST(Artifact, WhatItSaysItselfIsBelievedWhateverItsKind) {
  Artifact artifact;
  artifact.set_kind(Artifact::KIND_TREE_DETAILS);
  artifact.set_rows(5);
  artifact.mutable_coverage()->set_not_covered_total(7);
  *artifact.mutable_contents() = MakeContents("graph", Artifact::ROLE_DATA);
  AddCount("node", 9, artifact.mutable_contents());
  const Artifact::Contents contents = ContentsOf(artifact);
  EXPECT_EQ(contents.word(), "graph");
  EXPECT_TRUE(HoldsData(contents));
  EXPECT_EQ(CountIn(contents, "node"), 9);
  EXPECT_EQ(CountIn(contents, "row"), 0);
  EXPECT_EQ(contents.gaps(), 0);
}

// A kind of a newer version that does not say what it holds: nothing is claimed of it.
TEST(Artifact, OneThatIsKnownToNobodyHoldsNoData) {
  Artifact artifact;
  EXPECT_TRUE(HoldsData(ContentsOf(artifact))) << "an extension's, which has no kind";
  EXPECT_EQ(ContentsOf(artifact).word(), "data");
  artifact.set_kind(static_cast<Artifact::Kind>(77));
  artifact.mutable_coverage()->set_not_covered_total(7);
  EXPECT_FALSE(HoldsData(ContentsOf(artifact)));
  EXPECT_EQ(ContentsOf(artifact).word(), "unknown");
  EXPECT_EQ(ContentsOf(artifact).gaps(), 0);
}

}  // namespace
}  // namespace salvor
