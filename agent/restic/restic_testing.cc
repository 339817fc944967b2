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

}  // namespace salvor::agent
