#include "tools/cli/testing/samples.h"

#include <google/protobuf/text_format.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/text.h"
#include "strategies/verdicts/verdict.h"
#include "tools/cli/terminal/live_region.h"

namespace salvor::cli {

template <typename Message>
Message FromText(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}
template v1::Run FromText<v1::Run>(const std::string&);
template v1::Backup FromText<v1::Backup>(const std::string&);
template v1::Verification FromText<v1::Verification>(const std::string&);
template v1::CreateRunResponse FromText<v1::CreateRunResponse>(const std::string&);
template v1::ListRunsResponse FromText<v1::ListRunsResponse>(const std::string&);
template v1::ListAgentsResponse FromText<v1::ListAgentsResponse>(const std::string&);
template v1::Object FromText<v1::Object>(const std::string&);
template v1::Progress FromText<v1::Progress>(const std::string&);
template v1::VeleroRestorePreview FromText<v1::VeleroRestorePreview>(const std::string&);

// 1795256100 is 2026-11-21T10:15:00Z.
v1::Run RunningBackup() {
  return FromText<v1::Run>(R"(
    header { name: "backup-shop-20261121-101500-4f2a" kind: RUN_KIND_BACKUP application: "shop"
        environment: "vps-1"
             backup: "backup-shop-20261121-101500-4f2a" requested_by: "root" requested_at {
                 seconds: 1795256100 } }
    phase: RUN_PHASE_RUNNING
    steps { id: "location.open" title: "open the location" phase: STEP_PHASE_SUCCEEDED attempt: 1
        agent: "vps-1"
            action: "location_open" started_at { seconds: 1795256100 }
            finished_at { seconds: 1795256100 nanos: 800000000 } result {
                note: "created repository 1a2b3c4d" } }
    steps { id: "db.preflight" component: "db" title: "look at the server" phase: STEP_PHASE_SUCCEEDED
        attempt: 1
            started_at { seconds: 1795256101 } finished_at { seconds: 1795256101 nanos: 300000000 }
            after { step: "location.open" } result { } }
    steps { id: "files.backup" component: "files" title: "back up files below /srv/shop/uploads"
            phase: STEP_PHASE_SUCCEEDED attempt: 2
            started_at { seconds: 1795256101 } finished_at { seconds: 1795256113 nanos: 300000000 }
            after { step: "location.open" }
            result { artifacts { component: "files" name: "files.tree" kind: KIND_TREE
                bytes: 34359738368 files: 18204 }
                     warnings: "/srv/shop/uploads/tmp/x changed while it was read" } }
    steps { id: "db.dump.shop" component: "db" title: "dump database shop" phase: STEP_PHASE_RUNNING
        attempt: 1
            agent: "vps-1" started_at { seconds: 1795256102 } after { step: "db.preflight" }
            progress { bytes_done: 1288490188 bytes_total: 3328599654 bytes_per_second: 110100480
                       at { seconds: 1795256140 } } }
    steps { id: "manifest.write" title: "write the manifest" phase: STEP_PHASE_PENDING
            after { step: "db.dump.shop" condition: CONDITION_FINISHED }
            after { step: "files.backup" condition: CONDITION_FINISHED } }
    obligations { name: "quiesce" phase: PHASE_OPEN opened_at { seconds: 1795256101 } }
    revision: 7)");
}

v1::Run PartialBackup() {
  return FromText<v1::Run>(R"(
    header { name: "backup-shop-20261121-101500-4f2a" kind: RUN_KIND_BACKUP application: "shop"
        environment: "vps-1"
             backup: "backup-shop-20261121-101500-4f2a" requested_by: "root" requested_at {
                 seconds: 1795256100 } }
    phase: RUN_PHASE_FAILED reason: "db.dump.audit: pg_dump: permission denied for table entries"
    verdict: VERDICT_PARTIAL verdict_reason: "db database audit: pg_dump: permission denied for table entries"
    finished_at { seconds: 1795256138 }
    steps { id: "db.dump.shop" component: "db" title: "dump database shop" phase: STEP_PHASE_SUCCEEDED
        attempt: 1
            started_at { seconds: 1795256100 } finished_at { seconds: 1795256130 }
            result { artifacts { component: "db" name: "db.shop" kind: KIND_POSTGRES_DUMP
                bytes: 3328599654 rows: 1204233 } } }
    steps { id: "db.dump.audit" component: "db" title: "dump database audit" phase: STEP_PHASE_FAILED
        attempt: 3
            started_at { seconds: 1795256100 } finished_at { seconds: 1795256103 }
            reason: "pg_dump: permission denied for table entries"
            result { error { reason: REASON_FAILED message: "pg_dump: permission denied for table entries"
                             hint: "Grant SELECT on audit.entries to the role salvor." } } }
    steps { id: "manifest.write" title: "write the manifest" phase: STEP_PHASE_SUCCEEDED attempt: 1
            started_at { seconds: 1795256136 } finished_at { seconds: 1795256138 }
            after { step: "db.dump.shop" condition: CONDITION_FINISHED }
            after { step: "db.dump.audit" condition: CONDITION_FINISHED } result { } })");
}

v1::Run SucceededDrill() {
  return FromText<v1::Run>(R"(
    header { name: "drill-shop-20261121-101600-9c01" kind: RUN_KIND_DRILL application: "shop"
        environment: "vps-1"
             backup: "backup-shop-20261121-101500-4f2a" requested_at { seconds: 1795256070 } }
    phase: RUN_PHASE_SUCCEEDED verdict: VERDICT_PROVEN finished_at { seconds: 1795256140 }
    steps { id: "scratch.start" title: "start a scratch server" phase: STEP_PHASE_SUCCEEDED
            started_at { seconds: 1795256070 } finished_at { seconds: 1795256074 } result { } }
    steps { id: "db.verify.shop" component: "db" title: "compare database shop" phase: STEP_PHASE_SUCCEEDED
            started_at { seconds: 1795256100 } finished_at { seconds: 1795256120 } after {
                step: "scratch.start" }
            result { checks { component: "db" kind: "schema" subject: "shop" verdict: VERDICT_PASSED }
                     checks { component: "db" kind: "rows" subject: "shop.public.orders"
                         verdict: VERDICT_PASSED }
                     checks { component: "db" kind: "rows" subject: "shop.public.users"
                         verdict: VERDICT_PASSED } } }
    steps { id: "files.verify" component: "files" title: "compare files" phase: STEP_PHASE_SUCCEEDED
            started_at { seconds: 1795256100 } finished_at { seconds: 1795256110 } after {
                step: "scratch.start" }
            result { checks { component: "files" kind: "files" subject: "/srv/shop/uploads"
                verdict: VERDICT_PASSED } } }
    steps { id: "scratch.stop" title: "remove the scratch server" phase: STEP_PHASE_SUCCEEDED
            started_at { seconds: 1795256138 } finished_at { seconds: 1795256140 }
            after { step: "db.verify.shop" condition: CONDITION_FINISHED }
            after { step: "files.verify" condition: CONDITION_FINISHED } result { } }
    obligations { name: "scratch" phase: PHASE_RELEASED opened_at { seconds: 1795256070 } })");
}

v1::Run DisprovenDrill() {
  v1::Run run = SucceededDrill();
  run.set_phase(v1::RUN_PHASE_FAILED);
  run.set_reason("1 check failed");
  v1::Check* failed = run.mutable_steps(1)->mutable_result()->mutable_checks(1);
  failed->set_verdict(v1::Check::VERDICT_FAILED);
  failed->set_compared("1,204,233 rows expected, 1,204,232 found");
  v1::Check* unverifiable = run.mutable_steps(2)->mutable_result()->mutable_checks(0);
  unverifiable->set_verdict(v1::Check::VERDICT_UNVERIFIABLE);
  unverifiable->set_compared("2 files changed while they were backed up");
  return AsJudged(std::move(run));
}

v1::Run PartialRestore() {
  v1::Run run = SucceededDrill();
  run.mutable_header()->set_name("restore-shop-20261121-101600-9c01");
  run.mutable_header()->set_kind(v1::RUN_KIND_RESTORE);
  v1::StepStatus* restore = run.mutable_steps(0);
  restore->set_id("db.restore.shop");
  restore->set_component("db");
  restore->set_action("postgres_restore");
  restore->set_purpose(v1::PURPOSE_RESTORE);
  restore->set_title("restore database shop");
  *restore->mutable_result() = FromText<v1::ActionResult>(R"(
    note: "database shop restored without what could not be built (2), 3.10 GiB"
    not_built { database: "shop" kind: "TABLE DATA" schema: "public" name: "vouchers"
                title: "rows of table public.vouchers"
                cause: "new row for relation \"vouchers\" violates check constraint \"still_valid\""
                sqlstate: "23514" }
    not_built { database: "shop" kind: "FK CONSTRAINT" schema: "public" name: "orders orders_customer_fkey"
                title: "foreign key public.orders orders_customer_fkey"
                cause: "insert or update on table \"orders\" violates foreign key constraint" sqlstate: "23503" })");
  for (const char* subject :
       {"shop: rows of table public.vouchers", "shop: foreign key public.orders orders_customer_fkey"}) {
    v1::Check* check = run.mutable_steps(1)->mutable_result()->add_checks();
    check->set_component("db");
    check->set_kind("rows");
    check->set_subject(subject);
    check->set_verdict(v1::Check::VERDICT_FAILED);
    check->set_not_built(true);
  }
  return AsJudged(std::move(run));
}

v1::Backup CompleteBackup() {
  return FromText<v1::Backup>(R"(
    name: "backup-shop-20261121-101500-4f2a" application: "shop" environment: "vps-1" location: "main"
    run: "backup-shop-20261121-101500-4f2a" coverage: COVERAGE_COMPLETE verification: VERIFICATION_UNPROVEN
    created_at { seconds: 1795256100 } finished_at { seconds: 1795256138 }
    manifest {
      snapshot: "77aa88bb99cc00dd11ee22ff33445566778899aabbccddeeff00112233445566"
      components { name: "db" postgres { } } components { name: "files" disk { } }
      artifacts { component: "db" name: "db.shop" kind: KIND_POSTGRES_DUMP bytes: 3328599654
          rows: 1204233 tables: 42
                  snapshot: "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809"
                  consistent_at { seconds: 1795256102 } coverage { exact: 42 } }
      artifacts { component: "db" name: "db.shop.details" kind: KIND_POSTGRES_DETAILS bytes: 40960
                  snapshot: "2a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809" }
      artifacts { component: "db" name: "db.globals" kind: KIND_POSTGRES_GLOBALS bytes: 2048
                  snapshot: "3a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809"
                  consistent_at { seconds: 1795256101 nanos: 500000000 } }
      artifacts { component: "files" name: "files.tree" kind: KIND_TREE bytes: 34359738368 files: 18204
                  snapshot: "4a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809"
                  consistent_at { seconds: 1795256101 } consistent_until { seconds: 1795256113 }
                  coverage { exact: 18203 none: 1
                      not_covered: "/srv/shop/uploads/tmp/x: changed while it was read"
                             not_covered_total: 1 } }
    })");
}

v1::Backup PartialBackupRecord() {
  v1::Backup backup = CompleteBackup();
  backup.set_coverage(v1::Backup::COVERAGE_PARTIAL);
  v1::MissingArtifact* missing = backup.mutable_manifest()->add_missing();
  missing->set_component("db");
  missing->set_title("database audit");
  missing->set_why("pg_dump: permission denied for table entries");
  return backup;
}

v1::Run AsJudged(v1::Run run) {
  v1::Backup backup;
  backup.set_coverage(v1::Backup::COVERAGE_COMPLETE);
  return verdicts::Judged(std::move(run), &backup);
}

Style StyleOf(int width) {
  Style style;
  style.width = width;
  style.now = absl::FromUnixSeconds(1795256140);
  return style;
}

void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = "testdata/" + name;
  if (std::getenv("SALVOR_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path, std::ios::binary) << text;
    return;
  }
  std::ifstream file(path, std::ios::binary);
  ASSERT_TRUE(file.good()) << path << " is not there";
  std::ostringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(expected.str(), text) << "differs from " << path;
}

void ExpectFits(const std::string& text, int columns) {
  for (const std::string& line : Split(text, '\n')) EXPECT_LE(VisibleWidth(line), columns) << line;
}

}  // namespace salvor::cli
