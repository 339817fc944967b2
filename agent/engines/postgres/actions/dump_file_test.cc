// Somebody else may put things in the way of a dump file.
#include "agent/engines/postgres/actions/dump_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace salvor::agent {
namespace {

using testing::HasSubstr;

class DumpFileTest : public testing::Test {
 protected:
  DumpFileTest() {
    char pattern[] = "/tmp/salvor-dump-file-test-XXXXXX";
    directory_ = ::mkdtemp(pattern);
    for (const char* folder : {"/dumps", "/victim"}) EXPECT_TRUE(MakeDirectories(directory_ + folder).ok());
    EXPECT_TRUE(WriteFileAtomically(directory_ + "/victim/db.dump", "precious").ok());
  }
  ~DumpFileTest() override {
    EXPECT_EQ(ReadFile(directory_ + "/victim/db.dump").value(), "precious");
    EXPECT_TRUE(RemoveTree(directory_).ok());
  }

  std::string Dumps() const { return directory_ + "/dumps"; }
  bool IsEmpty() const { return std::filesystem::is_empty(Dumps()); }
  static void Write(const StatusOr<UniqueFd>& file) {
    ASSERT_TRUE(file.ok()) << MessageOf(file.status());
    ASSERT_EQ(::write(file->Get(), "dump", 4), 4);
  }

  std::string directory_;
};

TEST_F(DumpFileTest, ItIsPrivateAndLeavesNothing) {
  {
    DumpFile first(Dumps(), "run-1", "db.dump"), second(Dumps(), "run-1", "other.dump");
    Write(first.Create());
    Write(second.Create());
    EXPECT_EQ(first.Sync(), OkStatus());
    EXPECT_EQ(ReadFile(first.Path()).value(), "dump");
    struct stat facts {};
    ASSERT_EQ(::stat((Dumps() + "/run-1").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 07777, 0700U);
    ASSERT_EQ(::stat(first.Path().c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 07777, 0600U);
  }
  EXPECT_TRUE(IsEmpty());
}

TEST_F(DumpFileTest, AFolderThatIsASymlinkIsNotFollowedAndNothingIsRemovedBehindIt) {
  ASSERT_EQ(::symlink((directory_ + "/victim").c_str(), (Dumps() + "/run-1").c_str()), 0);
  {
    DumpFile file(Dumps(), "run-1", "db.dump");
    const Status status = file.Create().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(MessageOf(status), HasSubstr("is a symlink"));
    EXPECT_THAT(HintOf(status), HasSubstr("dump directory"));
  }
  EXPECT_TRUE(std::filesystem::is_symlink(Dumps() + "/run-1"));
}

TEST_F(DumpFileTest, ASymlinkInPlaceOfTheFileIsReplaced) {
  ASSERT_TRUE(MakeDirectories(Dumps() + "/run-1", 0700).ok());
  ASSERT_EQ(::symlink((directory_ + "/victim/db.dump").c_str(), (Dumps() + "/run-1/db.dump").c_str()), 0);
  {
    DumpFile file(Dumps(), "run-1", "db.dump");
    Write(file.Create());
    EXPECT_EQ(file.Sync(), OkStatus());
  }
  EXPECT_TRUE(IsEmpty());
}

TEST_F(DumpFileTest, AFolderIntoWhichOthersWriteIsRefused) {
  ASSERT_TRUE(MakeDirectories(Dumps() + "/run-1").ok());
  ASSERT_EQ(::chmod((Dumps() + "/run-1").c_str(), 0777), 0);
  EXPECT_EQ(DumpFile(Dumps(), "run-1", "db.dump").Create().status().code(),
            absl::StatusCode::kFailedPrecondition);
  if (::geteuid() != 0) return;  // only root can give it away
  ASSERT_TRUE(MakeDirectories(Dumps() + "/run-2", 0700).ok());
  ASSERT_EQ(::chown((Dumps() + "/run-2").c_str(), 12345, 12345), 0);
  const Status status = DumpFile(Dumps(), "run-2", "db.dump").Create().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(MessageOf(status), HasSubstr("user id 12345"));
}

// Its directory's owner exchanges the run's folder while the dump is under way.
TEST_F(DumpFileTest, AFolderThatIsExchangedIsNoticedAndOnlyOurOwnFileGoes) {
  {
    DumpFile file(Dumps(), "run-1", "db.dump");
    Write(file.Create());
    ASSERT_EQ(::rename((Dumps() + "/run-1").c_str(), (directory_ + "/elsewhere").c_str()), 0);
    ASSERT_EQ(::symlink((directory_ + "/victim").c_str(), (Dumps() + "/run-1").c_str()), 0);
    EXPECT_EQ(file.Sync().code(), absl::StatusCode::kAborted);
    EXPECT_EQ(file.CheckPath().code(), absl::StatusCode::kAborted);
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory_ + "/elsewhere"));
  EXPECT_TRUE(std::filesystem::is_symlink(Dumps() + "/run-1"));
}

}  // namespace
}  // namespace salvor::agent
