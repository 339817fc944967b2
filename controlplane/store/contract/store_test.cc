// The same suite for every store.
#include "controlplane/store/contract/store.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/io/mutex.h"
#include "controlplane/store/contract/store_testing.h"
#include "controlplane/store/memory/memory_store.h"
#include "controlplane/store/sqlite/sqlite_store.h"

namespace salvor::controlplane {
namespace {

// A store that is tested: add a line to the list below, and it has to keep the contract.
struct Kind {
  const char* name;
  bool lasts;  // what was committed is there after the store was opened again
  StatusOr<std::unique_ptr<Store>> (*open)(const std::string& directory);
};

const Kind kKinds[] = {
    {"Memory", false,
     [](const std::string&) -> StatusOr<std::unique_ptr<Store>> { return std::make_unique<MemoryStore>(); }},
    {"Sqlite", true, OpenSqliteStore},
};

class StoreTest : public testing::TestWithParam<Kind> {
 protected:
  StoreTest() { Open(); }
  void Open() {
    store_.reset();
    auto opened = GetParam().open(directory_.Path());
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }

  StoreDirectory directory_;
  std::unique_ptr<Store> store_;
};

TEST_P(StoreTest, ARunIsItsFlowAndItsEventsInOrder) {
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), Granted("r1", 0, "a"), Granted("r1", 1, "b")}).ok());
  const auto run = store_->LoadRun("r1");
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_EQ(run->events.size(), 2u);
  EXPECT_EQ(run->events[1].step_granted().agent(), "b");
  EXPECT_EQ(run->flow.steps(0).id(), "a");
  EXPECT_EQ(store_->LoadRun("r2").status().code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreTest, FinishedRunsAreNotActiveAndKeepTheirSummary) {
  FinishRun finish = Finish("r1", v1::RUN_PHASE_FAILED);
  finish.summary.set_reason("disk full");
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), Begin("r2", "other"), finish}).ok());
  EXPECT_EQ(*store_->ActiveRuns(), std::vector<std::string>{"r2"});
  const auto all = ReadAllRuns(*store_, {});
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].header().name(), "r2") << "newest first";
  EXPECT_EQ((*all)[1].reason(), "disk full");
  EXPECT_EQ(store_->LoadRunSummary("r1")->reason(), "disk full");
  EXPECT_EQ(store_->LoadRunSummary("r3").status().code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreTest, AnErasedRunIsGoneWithAllThatBelongsToItAndNoOther) {
  const auto log = [](const std::string& run) {
    AppendLog append;
    append.lines.set_run(run);
    append.lines.add_lines()->set_text("a line");
    return append;
  };
  Batch batch = {Begin("r1"), Begin("r2"), Begin("r3")};
  for (const char* run : {"r1", "r2", "r3"}) {
    batch.push_back(Granted(run, 0, "a"));
    batch.push_back(log(run));
  }
  batch.push_back(Finish("r2", v1::RUN_PHASE_SUCCEEDED));
  batch.push_back(Finish("r3", v1::RUN_PHASE_SUCCEEDED));
  ASSERT_TRUE(CommitAndWait(*store_, std::move(batch)).ok());
  const auto first = store_->ListRuns({}, {1, ""});
  ASSERT_TRUE(first.ok() && !first->next_token.empty());
  ASSERT_TRUE(CommitAndWait(*store_, {EraseRun{"r1"}, EraseRun{"r2"}, EraseRun{"nobody"}}).ok());
  EXPECT_EQ(*store_->ActiveRuns(), std::vector<std::string>{"r1"}) << "what is active stays";
  EXPECT_EQ(store_->LoadRun("r1")->events.size(), 1u);
  EXPECT_EQ(store_->LoadRun("r2").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->LoadRunSummary("r2").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->LoadRunView("r2").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->LoadRun("r3")->events.size(), 1u);
  int64_t next = 0;
  EXPECT_TRUE(store_->ReadLog("r2", 0, next)->empty());
  EXPECT_EQ(store_->ReadLog("r3", 0, next)->size(), 1u);
  EXPECT_EQ(ReadAllRuns(*store_, {})->size(), 2u);
  const auto rest = store_->ListRuns({}, {10, first->next_token});
  ASSERT_TRUE(rest.ok()) << rest.status();
  ASSERT_EQ(rest->items.size(), 1u) << "the list goes on where it was";
  EXPECT_EQ(rest->items[0].header().name(), "r1");
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r2"), Granted("r2", 0, "b")}).ok()) << "the name is free";
  EXPECT_EQ(store_->LoadRun("r2")->events.size(), 1u);
}

TEST_P(StoreTest, AFinishedRunIsShownAsItEnded) {
  FinishRun with_view, without;
  with_view.summary.mutable_header()->set_name("r1");
  with_view.summary.set_verdict(v1::VERDICT_DISPROVEN);
  v1::Run shown = with_view.summary;
  shown.add_steps()->set_reason("as it was said then");
  with_view.view = std::make_shared<v1::Run>(shown);
  without.summary.mutable_header()->set_name("r2");
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), Begin("r2"), Begin("r3"), with_view, without}).ok());
  const auto view = store_->LoadRunView("r1");
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->SerializeAsString(), shown.SerializeAsString());
  EXPECT_EQ(store_->LoadRunSummary("r1")->steps_size(), 0);
  EXPECT_EQ((*ReadAllRuns(*store_, {}))[2].verdict(), v1::VERDICT_DISPROVEN);
  for (const char* none : {"r2", "r3", "nobody"})
    EXPECT_EQ(store_->LoadRunView(none).status().code(), absl::StatusCode::kNotFound) << none;
}

TEST_P(StoreTest, VerificationsStandBesideEachOtherAndNoneIsOverwritten) {
  const auto put = [](const std::string& backup, const std::string& run, v1::Verdict verdict) {
    PutVerification one;
    one.verification.set_backup(backup);
    one.verification.set_run(run);
    one.verification.set_verdict(verdict);
    return one;
  };
  ASSERT_TRUE(
      CommitAndWait(*store_, {put("b1", "d1", v1::VERDICT_PROVEN), put("b2", "d1", v1::VERDICT_PROVEN),
                              put("b1", "d2", v1::VERDICT_DISPROVEN)})
          .ok());
  ASSERT_TRUE(CommitAndWait(*store_, {put("b1", "d1", v1::VERDICT_UNVERIFIABLE)}).ok());
  const auto verifications = store_->ListVerifications("b1");
  ASSERT_EQ(verifications->size(), 2u);
  EXPECT_EQ((*verifications)[0].run(), "d1");
  EXPECT_EQ((*verifications)[0].verdict(), v1::VERDICT_PROVEN) << "what was found stays found";
  EXPECT_EQ((*verifications)[1].verdict(), v1::VERDICT_DISPROVEN);
  EXPECT_EQ(store_->ListVerifications("b2")->size(), 1u);
  EXPECT_TRUE(store_->ListVerifications("b3")->empty());
}

TEST_P(StoreTest, CallbacksComeInOrderAndAfterTheWrite) {
  std::vector<int> order;
  Mutex mutex;
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1")}).ok());
  for (int i = 0; i < 500; ++i) {
    store_->Commit({Granted("r1", i)}, [&order, &mutex, i](const CommitOutcome& outcome) {
      EXPECT_EQ(outcome.kind, CommitOutcome::Kind::kCommitted);
      MutexLock lock(mutex);
      order.push_back(i);
    });
  }
  ASSERT_TRUE(CommitAndWait(*store_, {}).ok());
  MutexLock lock(mutex);
  ASSERT_EQ(order.size(), 500u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(store_->LoadRun("r1")->events.size(), 500u);
  EXPECT_EQ(store_->Statistics().events, 500);
}

TEST_P(StoreTest, RecordsReplaceAndVanish) {
  PutObject object;
  object.object.mutable_metadata()->set_name("local");
  object.object.mutable_environment();
  PutBackup backup;
  backup.backup.set_name("b1");
  PutObligation obligation;
  obligation.agent = "agent-a";
  obligation.obligation.set_run("r1");
  obligation.obligation.set_name("scratch");
  ASSERT_TRUE(CommitAndWait(*store_, {object, backup, obligation}).ok());
  backup.backup.set_reason("proven");
  ASSERT_TRUE(
      CommitAndWait(*store_, {backup, EraseObject{"Environment", "local"}, EraseObligation{"r1", "scratch"}})
          .ok());
  EXPECT_TRUE(store_->ListObjects()->empty());
  EXPECT_TRUE(store_->ListObligations()->empty());
  ASSERT_EQ(ReadAllBackups(*store_)->size(), 1u);
  EXPECT_EQ((*ReadAllBackups(*store_))[0].reason(), "proven");
}

TEST_P(StoreTest, AgentsComeByEnvironmentAndThenByName) {
  for (const auto& [environment, name] :
       {std::pair("prod-eu", "a"), std::pair("prod", "b"), std::pair("prod", "a")}) {
    PutAgent agent;
    agent.agent.set_environment(environment);
    agent.agent.set_name(name);
    ASSERT_TRUE(CommitAndWait(*store_, {agent}).ok());
  }
  const auto agents = store_->ListAgents();
  ASSERT_TRUE(agents.ok()) << agents.status();
  std::vector<std::string> listed;
  for (const v1::AgentStatus& agent : *agents) listed.push_back(agent.environment() + "/" + agent.name());
  EXPECT_EQ(listed, (std::vector<std::string>{"prod/a", "prod/b", "prod-eu/a"}));
}

TEST_P(StoreTest, LogsGoOnWhereTheReaderWas) {
  AppendLog log;
  log.lines.set_run("r1");
  log.lines.add_lines()->set_text("one");
  ASSERT_TRUE(CommitAndWait(*store_, {log}).ok());
  int64_t next = 0;
  EXPECT_EQ(store_->ReadLog("r1", 0, next)->size(), 1u);
  EXPECT_TRUE(store_->ReadLog("r1", next, next)->empty());
  log.lines.mutable_lines(0)->set_text("two");
  ASSERT_TRUE(CommitAndWait(*store_, {log}).ok());
  const auto more = store_->ReadLog("r1", next, next);
  ASSERT_EQ(more->size(), 1u);
  EXPECT_EQ((*more)[0].lines(0).text(), "two");
}

TEST_P(StoreTest, EachRecordOfALogSaysWhereReadingGoesOnBehindIt) {
  for (const char* run : {"r1", "r2", "r1", "r1", "r2"}) {
    AppendLog log;
    log.lines.set_run(run);
    log.lines.set_next(99);  // what an agent says of it counts for nothing
    log.lines.add_lines();
    ASSERT_TRUE(CommitAndWait(*store_, {log}).ok());
  }
  int64_t end = 0;
  const auto all = store_->ReadLog("r1", 0, end);
  ASSERT_EQ(all->size(), 3u);
  EXPECT_EQ(all->back().next(), end);
  for (size_t i = 0; i < all->size(); ++i) {
    int64_t next = 0;
    const auto rest = store_->ReadLog("r1", (*all)[i].next(), next);
    EXPECT_EQ(rest->size(), all->size() - i - 1);
    EXPECT_EQ(next, end);
  }
}

TEST_P(StoreTest, TokensAreKeptByNameAndTheLastWordCounts) {
  PutToken one, two;
  one.record.mutable_token()->set_name("web");
  one.record.set_sha256(std::string("\0digest", 7));
  two.record.mutable_token()->set_name("db");
  ASSERT_TRUE(CommitAndWait(*store_, {one, two}).ok());
  one.record.mutable_token()->set_revoked_by("anna");
  ASSERT_TRUE(CommitAndWait(*store_, {one}).ok());
  if (GetParam().lasts) Open();
  const auto tokens = store_->ListTokens();
  ASSERT_EQ(tokens->size(), 2u);
  EXPECT_EQ((*tokens)[0].token().name(), "db");
  EXPECT_EQ((*tokens)[1].token().revoked_by(), "anna");
  EXPECT_EQ((*tokens)[1].sha256(), one.record.sha256());
}

TEST_P(StoreTest, WhatIsRefusedIsNotThereInPartsAndEndsTheStore) {
  const std::pair<const char*, Batch> refused[] = {
      {"a double", {Begin("r2"), Granted("r1", 0)}},
      {"a gap", {Begin("r2"), Granted("r1", 3)}},
      {"a gap within the batch", {Begin("r2"), Granted("r2", 1)}},
      {"a run that is there", {Begin("r2"), Begin("r1")}},
      {"events of no run", {Begin("r2"), Granted("r3", 0)}},
      {"an end of no run", {Begin("r2"), Finish("r3", v1::RUN_PHASE_FAILED)}},
  };
  for (const auto& [what, batch] : refused) {
    SCOPED_TRACE(what);
    store_.reset();  // a store that lasts has the runs of the round before: each begins with an empty one
    StoreDirectory directory;
    auto store = GetParam().open(directory.Path());
    ASSERT_TRUE(store.ok()) << store.status();
    ASSERT_TRUE(CommitAndWait(**store, {Begin("r1"), Granted("r1", 0)}).ok());
    CommitOutcome outcome;
    (*store)->Commit(batch, [&outcome](const CommitOutcome& told) { outcome = told; });
    EXPECT_FALSE(CommitAndWait(**store, {Granted("r1", 1)}).ok()) << "nothing is taken any more";
    EXPECT_EQ(outcome.kind, CommitOutcome::Kind::kUnknown);
    EXPECT_FALSE(outcome.why.ok());
    EXPECT_EQ((*store)->LoadRun("r2").status().code(), absl::StatusCode::kNotFound);
    EXPECT_EQ((*store)->LoadRun("r1")->events.size(), 1u) << "reading goes on";
  }
}

TEST_P(StoreTest, EventsGoOnWhereTheyWereAfterOpening) {
  if (!GetParam().lasts) GTEST_SKIP() << "it forgets";
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), Granted("r1", 0), Granted("r1", 1)}).ok());
  Open();
  ASSERT_TRUE(CommitAndWait(*store_, {Granted("r1", 2)}).ok());
  EXPECT_EQ(store_->LoadRun("r1")->events.size(), 3u);
  Open();
  EXPECT_FALSE(CommitAndWait(*store_, {Granted("r1", 4)}).ok()) << "a gap is one across a start too";
}

TEST_P(StoreTest, LogsOfARunThatHasNoneAndAPlaceBehindTheEndAreEmpty) {
  int64_t next = 0;
  EXPECT_TRUE(store_->ReadLog("r1", 0, next)->empty());
  EXPECT_EQ(next, 0);
  EXPECT_TRUE(store_->ReadLog("r1", 7, next)->empty());
  EXPECT_EQ(next, 7) << "a reader's place never goes back";
}

// ---- pages -------------------------------------------------------------------------------------------------------------

std::vector<std::string> NamesOf(const std::vector<v1::Run>& runs) {
  std::vector<std::string> names;
  for (const v1::Run& run : runs) names.push_back(run.header().name());
  return names;
}

// All pages of this size, in one.
std::vector<std::string> Walk(Store& store, const RunFilter& filter, int size) {
  std::vector<std::string> names;
  PageRequest request = {size, ""};
  do {
    const auto page = store.ListRuns(filter, request);
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok()) return names;
    EXPECT_LE(page->items.size(), static_cast<size_t>(size));
    for (const std::string& name : NamesOf(page->items)) names.push_back(name);
    request.token = page->next_token;
  } while (!request.token.empty());
  return names;
}

TEST_P(StoreTest, PagesOfAnySizeAreTheWholeListInOrder) {
  std::vector<std::string> expected;
  for (int i = 0; i < 7; ++i) {
    ASSERT_TRUE(
        CommitAndWait(*store_, {Begin("r" + std::to_string(i)), BackupNamed("b" + std::to_string(i))}).ok());
    expected.insert(expected.begin(), "r" + std::to_string(i));
  }
  for (int size = 1; size <= 8; ++size) EXPECT_EQ(Walk(*store_, {}, size), expected) << size;
  EXPECT_TRUE(store_->ListRuns({}, {7, ""})->next_token.empty()) << "nothing follows the last item";
  EXPECT_EQ(store_->ListRuns({}, {0, ""})->items.size(), 1u) << "a page has room for one";
  const auto first = store_->ListBackups({4, ""});
  ASSERT_EQ(first->items.size(), 4u);
  EXPECT_EQ(first->items[0].name(), "b0");
  const auto second = store_->ListBackups({4, first->next_token});
  ASSERT_EQ(second->items.size(), 3u);
  EXPECT_EQ(second->items[0].name(), "b4");
  EXPECT_TRUE(second->next_token.empty());
}

TEST_P(StoreTest, WhatIsAddedOrEndsBetweenPagesNeitherRepeatsNorHidesARun) {
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), Begin("r2"), Begin("r3"), Begin("r4")}).ok());
  const auto first = store_->ListRuns({}, {2, ""});
  EXPECT_EQ(NamesOf(first->items), (std::vector<std::string>{"r4", "r3"}));
  const auto active = store_->ListRuns({.active_only = true}, {2, ""});
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r5"), Finish("r3", v1::RUN_PHASE_SUCCEEDED)}).ok());
  const auto second = store_->ListRuns({}, {2, first->next_token});
  EXPECT_EQ(NamesOf(second->items), (std::vector<std::string>{"r2", "r1"}));
  EXPECT_EQ(NamesOf(store_->ListRuns({.active_only = true}, {2, active->next_token})->items),
            (std::vector<std::string>{"r2", "r1"}))
      << "the place stays although the run at it is over";
}

TEST_P(StoreTest, FiltersApplyBeforeTheSizeOfAPage) {
  Batch batch;
  for (int i = 0; i < 1200; ++i) {
    PutRun run = Begin("r" + std::to_string(i), i % 100 == 0 ? "web" : "shop");
    run.header.set_environment(i % 300 == 0 ? "far" : "near");
    run.header.set_kind(i % 200 == 0 ? v1::RUN_KIND_DRILL : v1::RUN_KIND_BACKUP);
    FinishRun finish = Finish("", i == 600 ? v1::RUN_PHASE_FAILED : v1::RUN_PHASE_SUCCEEDED);
    *finish.summary.mutable_header() = run.header;
    batch.push_back(run);
    if (i != 0) batch.push_back(finish);
  }
  ASSERT_TRUE(CommitAndWait(*store_, batch).ok());
  EXPECT_EQ(Walk(*store_, {.application = "web"}, 5).size(), 12u);
  EXPECT_EQ(store_->ListRuns({.application = "web"}, {5, ""})->items.size(), 5u);
  EXPECT_EQ(Walk(*store_, {.environment = "far"}, 2),
            (std::vector<std::string>{"r900", "r600", "r300", "r0"}));
  EXPECT_EQ(Walk(*store_, {.kind = v1::RUN_KIND_DRILL}, 100).size(), 6u);
  EXPECT_EQ(Walk(*store_, {.environment = "far", .kind = v1::RUN_KIND_DRILL}, 1),
            (std::vector<std::string>{"r600", "r0"}));
  EXPECT_EQ(Walk(*store_, {.active_only = true}, 10), (std::vector<std::string>{"r0"}));
  EXPECT_EQ(Walk(*store_, {.phases = {v1::RUN_PHASE_FAILED}}, 10), (std::vector<std::string>{"r600", "r0"}))
      << "an active run's phase is not known here";
  EXPECT_TRUE(Walk(*store_, {.application = "nowhere"}, 10).empty());
}

TEST_P(StoreTest, ATokenThatIsDamagedOrOfAnotherListIsRefusedWithWhatToDo) {
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), Begin("r2"), BackupNamed("b1"), BackupNamed("b2")}).ok());
  const std::string token = store_->ListRuns({}, {1, ""})->next_token;
  const std::string of_backups = store_->ListBackups({1, ""})->next_token;
  ASSERT_FALSE(token.empty());
  ASSERT_FALSE(of_backups.empty());
  std::string damaged = token;
  damaged[2] = damaged[2] == 'x' ? 'y' : 'x';
  for (const std::string& foreign :
       {damaged, of_backups, token.substr(1), std::string("2"), std::string("%%%")}) {
    const Status refused = store_->ListRuns({}, {1, foreign}).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << foreign;
    EXPECT_NE(HintOf(refused).find("without a page token"), std::string::npos);
  }
  EXPECT_EQ(store_->ListRuns({.application = "shop"}, {1, token}).status().code(),
            absl::StatusCode::kInvalidArgument)
      << "a token of another filter";
  EXPECT_EQ(store_->ListBackups({1, token}).status().code(), absl::StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreTest, testing::ValuesIn(kKinds),
                         [](const auto& store) { return std::string(store.param.name); });

}  // namespace
}  // namespace salvor::controlplane
