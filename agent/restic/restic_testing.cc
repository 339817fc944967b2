#include "agent/restic/restic_testing.h"

#include <filesystem>

namespace salvor::agent {

void MakeRepositoryForTest(const v1::ResticLocation& location) {
  const std::filesystem::path repository = location.repository();
  std::error_code error;
  std::filesystem::create_directories(repository, error);
  std::filesystem::copy(SALVOR_TEST_REPOSITORY, repository, std::filesystem::copy_options::recursive, error);
  for (const char* name : {"data", "index", "locks", "snapshots"})
    std::filesystem::create_directory(repository / name, error);
  EXPECT_EQ(error, std::error_code()) << repository << ": " << error.message();
  EXPECT_TRUE(WriteFileAtomically(location.password_file(), "a password for a test\n", 0600).ok());
}

void LeaveExclusiveLock(const v1::ResticLocation& location) {
  ProcessSpec spec = Shell(
      "left() { ls \"$RESTIC_REPOSITORY/locks\" | grep -v tmp; }\n"
      "until left; do\n"
      "  restic check >/dev/null 2>&1 & pid=$!\n"
      "  until left || ! kill -0 $pid; do :; done >/dev/null 2>&1\n"
      "  kill -9 $pid; wait $pid || true\n"
      "done");
  spec.environment["RESTIC_REPOSITORY"] = location.repository();
  spec.environment["RESTIC_PASSWORD_FILE"] = location.password_file();
  spec.environment["RESTIC_CACHE_DIR"] = location.cache_directory();
  const auto left = RunProcess(Supervisor(), std::move(spec), {}, absl::InfiniteFuture());
  EXPECT_TRUE(left.ok()) << left.status();
}

}  // namespace salvor::agent
