#include "agent/kubernetes/movers/mover_result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace salvor::movers {
namespace {

using testing::HasSubstr;

constexpr char kJob[] = "mover-db-dump-shop-0123456789abcdef";

v1::ActionResult AResult(int not_covered = 0) {
  v1::ActionResult result;
  v1::Artifact* dump = result.add_artifacts();
  dump->set_name("db.dump.shop");
  dump->set_sha256(std::string(32, '\xff'));
  for (int i = 0; i < not_covered; ++i) {
    std::string name = "public.table_" + std::to_string(i * 7919);
    for (int j = 0; j < 40; ++j) name += static_cast<char>('a' + (i * 31 + j * 17) % 26);
    dump->mutable_coverage()->add_not_covered(name);
  }
  result.set_note("dumped");
  return result;
}

std::map<int, std::string> Numbered(const std::vector<std::string>& parts) {
  std::map<int, std::string> numbered;
  for (size_t i = 0; i < parts.size(); ++i) numbered[static_cast<int>(i) + 1] = parts[i];
  return numbered;
}

StatusOr<v1::ActionResult> Read(const std::string& message, const std::map<int, std::string>& parts = {}) {
  ASSIGN_OR_RETURN(const TerminationMessage read, ReadTermination(message, kJob));
  return DecodeResult(read, parts);
}

TEST(MoverResult, FitsTheMessageOrLiesInTheLog) {
  struct Row {
    int not_covered;
    bool fits;
  };
  for (const Row& row : {Row{0, true}, Row{20, true}, Row{100, false}, Row{4000, false}}) {
    const EncodedResult encoded = EncodeResult(kJob, AResult(row.not_covered));
    EXPECT_LE(encoded.message.size(), kMostMessageBytes) << "the kubelet cuts the rest off";
    EXPECT_EQ(encoded.parts.empty(), row.fits) << row.not_covered;
    const auto read = Read(encoded.message, Numbered(encoded.parts));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->DebugString(), AResult(row.not_covered).DebugString());
  }
}

TEST(MoverResult, IsNotTakenWhereItIsCutEmptyForeignOrHostile) {
  const std::string whole = EncodeResult(kJob, AResult()).message;
  nlohmann::json changed = nlohmann::json::parse(whole);
  changed["result"] = "CgYI";
  nlohmann::json newer = nlohmann::json::parse(whole);
  newer["format"] = 2;
  struct Row {
    std::string message;
    const char* why;
  };
  const Row table[] = {
      {"", "it left no termination message"},
      {whole.substr(0, whole.size() / 2), "cut short"},
      {"panic: runtime error", "cut short, or of something else"},
      {"[1, 2]", "of something else"},
      {std::string(4096, '['), "of something else"},
      {EncodeResult("mover-db-dump-shop-of-attempt-2", AResult()).message, "of another Job"},
      {newer.dump(), "of another format"},
      {changed.dump(), "it has another digest than the mover said"},
      {R"({"format":1,"job":"mover-db-dump-shop-0123456789abcdef","sha256":"","parts":1000000000})",
       "too large"},
      {R"({"format":1,"job":"mover-db-dump-shop-0123456789abcdef","sha256":7,"result":{}})",
       "another digest"},
  };
  for (const Row& row : table) {
    const auto read = Read(row.message);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kAborted) << row.message << ": worth another attempt";
    EXPECT_THAT(MessageOf(read.status()), HasSubstr(row.why)) << row.message;
  }
}

TEST(MoverResult, IsNotTakenFromALogThatLacksAPart) {
  const EncodedResult encoded = EncodeResult(kJob, AResult(4000));
  ASSERT_GT(encoded.parts.size(), 2u);
  std::map<int, std::string> parts = Numbered(encoded.parts);
  parts.erase(2);
  EXPECT_THAT(MessageOf(Read(encoded.message, parts).status()), HasSubstr("part 2 of"));
  parts[2] = encoded.parts[0];
  EXPECT_THAT(MessageOf(Read(encoded.message, parts).status()), HasSubstr("another digest"));
}

TEST(MoverResult, SaysNothingOfPlacesOrOfVelero) {
  v1::ActionResult forged = AResult();
  forged.add_bindings()->set_agent("mine");
  forged.mutable_velero()->set_backup("b");
  forged.mutable_manifest()->set_backup("b");
  forged.mutable_error()->set_message("refused");
  const auto read = Read(EncodeResult(kJob, forged).message);
  ASSERT_TRUE(read.ok()) << read.status();
  v1::ActionResult wanted = AResult();
  wanted.mutable_error()->set_message("refused");
  EXPECT_EQ(read->DebugString(), wanted.DebugString());
}

}  // namespace
}  // namespace salvor::movers
