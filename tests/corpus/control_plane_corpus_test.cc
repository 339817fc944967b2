// Today's control plane reads what earlier versions stored, and takes what their agents say.
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <map>

#include "base/io/system_clock.h"
#include "controlplane/runs/engine.h"
#include "controlplane/store/memory/memory_store.h"
#include "controlplane/store/sqlite/sqlite_store.h"
#include "tests/corpus/corpus.h"

namespace salvor::controlplane {
namespace {

const std::filesystem::path kCorpus = std::filesystem::path(SALVOR_CORPUS) / "0.1";

template <typename Message>
Message FromJson(const std::string& json) {
  Message message;
  const auto parsed = google::protobuf::util::JsonStringToMessage(json, &message);
  EXPECT_TRUE(parsed.ok()) << parsed.ToString();
  return message;
}

std::vector<v1::Run> RecordedViews() {
  std::vector<v1::Run> views;
  for (const auto& file : corpus::Files(kCorpus / "views", ".json"))
    views.push_back(FromJson<v1::Run>(corpus::Content(file)));
  return views;
}

class IgnoringLink final : public AgentLink {
 public:
  void Send(v1::ControlMessage) override {}
  void Close(const std::string&) override {}
};

class ControlPlaneCorpusTest : public testing::Test {
 protected:
  void OpenEngine() {
    auto store = OpenSqliteStore(copy_.Directory());
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    auto engine = Engine::Create(*store_, clock_, {}, nullptr);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  corpus::Copy copy_{kCorpus / "salvor.db"};
  SystemClock clock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(ControlPlaneCorpusTest, FinishedRunsReadAsTheVersionThatRanThemSaidTheyEnded) {
  OpenEngine();
  const std::vector<v1::Run> recorded = RecordedViews();
  ASSERT_EQ(recorded.size(), 8u);
  for (const v1::Run& then : recorded) {
    SCOPED_TRACE(then.header().name());
    const auto now = engine_->GetRun(then.header().name());
    ASSERT_TRUE(now.ok()) << now.status();
    EXPECT_EQ(now->phase(), then.phase());
    EXPECT_EQ(now->reason(), then.reason());
    EXPECT_EQ(now->header().SerializeAsString(), then.header().SerializeAsString());
    ASSERT_EQ(now->steps_size(), then.steps_size());
    for (int i = 0; i < then.steps_size(); ++i) {
      SCOPED_TRACE(then.steps(i).id());
      EXPECT_EQ(now->steps(i).phase(), then.steps(i).phase());
      EXPECT_EQ(now->steps(i).reason(), then.steps(i).reason());
      EXPECT_EQ(now->steps(i).attempt(), then.steps(i).attempt());
      EXPECT_EQ(now->steps(i).result().checks_size(), then.steps(i).result().checks_size());
      EXPECT_EQ(now->steps(i).result().artifacts_size(), then.steps(i).result().artifacts_size());
    }
  }
}

TEST_F(ControlPlaneCorpusTest, FinishedRunsHaveTheirVerdictAlthoughThatVersionStoredNone) {
  OpenEngine();
  const std::map<std::string, v1::Verdict> verdicts = {
      {"backup-shop-20261125-210811-7243", v1::VERDICT_COMPLETE},
      {"backup-shop-20261125-210819-e6a2", v1::VERDICT_COMPLETE},
      {"backup-shop-20261125-210823-4eca", v1::VERDICT_PARTIAL},
      {"backup-shop-20261125-210824-5ab4", v1::VERDICT_CANCELLED},
      {"drill-shop-20261125-210812-c452", v1::VERDICT_PROVEN},
      {"drill-shop-20261125-210820-4324", v1::VERDICT_DISPROVEN},
      {"restore-shop-20261125-210816-6429", v1::VERDICT_FAILED},
      {"restore-shop-20261125-210816-ddd2", v1::VERDICT_RESTORED}};
  const auto listed = engine_->ListRuns({}, {100, ""});
  ASSERT_TRUE(listed.ok()) << listed.status();
  size_t judged = 0;
  for (const v1::Run& run : listed->items) {
    const auto known = verdicts.find(run.header().name());
    if (known == verdicts.end()) continue;  // the one that was cut off
    SCOPED_TRACE(run.header().name());
    ++judged;
    EXPECT_EQ(run.verdict(), known->second) << run.verdict_reason();
    EXPECT_EQ(engine_->GetRun(run.header().name())->verdict(), known->second);
  }
  EXPECT_EQ(judged, verdicts.size());
}

TEST_F(ControlPlaneCorpusTest, TheRunThatWasCutOffIsActiveAgain) {
  OpenEngine();
  const auto active = engine_->ListRuns({.active_only = true}, {});
  ASSERT_TRUE(active.ok()) << active.status();
  ASSERT_EQ(active->items.size(), 1u);
  EXPECT_EQ(active->items.front().header().kind(), v1::RUN_KIND_BACKUP);
}

TEST_F(ControlPlaneCorpusTest, TheLocationIsTheRepositoryThatItWas) {
  OpenEngine();
  const auto objects = store_->ListObjects();
  ASSERT_TRUE(objects.ok()) << objects.status();
  int locations = 0;
  for (const v1::Object& object : *objects) {
    EXPECT_FALSE(corpus::HasUnknownFields(object));
    if (!object.has_location()) continue;
    ++locations;
    EXPECT_EQ(object.location().store_case(), v1::LocationSpec::kRestic);
    EXPECT_FALSE(object.location().restic().repository().empty());
  }
  EXPECT_EQ(locations, 1);
}

TEST_F(ControlPlaneCorpusTest, BackupsKeepTheirCoverageAndTheirProof) {
  OpenEngine();
  const auto recorded = FromJson<v1::ListBackupsResponse>(corpus::Content(kCorpus / "backups.json"));
  ASSERT_EQ(recorded.backups_size(), 4);
  for (const v1::Backup& then : recorded.backups()) {
    SCOPED_TRACE(then.name());
    const auto now = engine_->FindBackup(then.name());
    ASSERT_TRUE(now.ok()) << now.status();
    EXPECT_EQ(now->coverage(), then.coverage());
    EXPECT_EQ(now->verification(), then.verification());
    EXPECT_EQ(now->proven_by(), then.proven_by());
    EXPECT_EQ(now->reason(), then.reason());
    EXPECT_EQ(now->manifest().artifacts_size(), then.manifest().artifacts_size());
  }
}

TEST_F(ControlPlaneCorpusTest, NothingStoredHoldsAFieldThatTodaysSchemaLacks) {
  OpenEngine();
  const auto runs = ReadAllRuns(*store_, {});
  ASSERT_TRUE(runs.ok()) << runs.status();
  ASSERT_EQ(runs->size(), 9u);
  for (const v1::Run& run : *runs) {
    const auto stored = store_->LoadRun(run.header().name());
    ASSERT_TRUE(stored.ok()) << stored.status();
    EXPECT_FALSE(corpus::HasUnknownFields(stored->header));
    EXPECT_FALSE(corpus::HasUnknownFields(stored->flow));
    for (const v1::Event& event : stored->events) EXPECT_FALSE(corpus::HasUnknownFields(event));
  }
}

TEST_F(ControlPlaneCorpusTest, AnAgentOfThatVersionIsTakenAndEveryMessageOfItsIsUnderstood) {
  OpenEngine();
  const std::vector<std::string> messages = corpus::Messages(kCorpus / "conversation-0.agent");
  ASSERT_GT(messages.size(), 20u);
  int64_t session = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    v1::AgentMessage message;
    ASSERT_TRUE(message.ParseFromString(messages[i])) << "message " << i;
    EXPECT_FALSE(corpus::HasUnknownFields(message)) << "message " << i;
    if (i == 0) {
      ASSERT_TRUE(message.has_hello());
      const auto connected = engine_->Connect(message.hello(), std::make_shared<IgnoringLink>());
      ASSERT_TRUE(connected.ok()) << connected.status();
      session = *connected;
      message.clear_hello();
    }
    engine_->Receive(session, std::move(message));
  }
  EXPECT_TRUE(engine_->ListAgents().front().connected());
}

}  // namespace
}  // namespace salvor::controlplane
