#include "agent/restic/restic_testing.h"

#include <cstdlib>
#include <filesystem>

#include "base/steady_time.h"

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

namespace {

// A restic that has the repository for itself alone and then waits for ever for an index that nobody writes:
// once the shell has the other end open, restic holds its lock and reads.
constexpr char kBegin[] = R"sh(
index="$RESTIC_REPOSITORY/index/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
mkfifo "$index"
restic check --no-cache >/dev/null 2>&1 & pid=$!
exec 3>"$index"
rm "$index"
)sh";

StatusOr<std::unique_ptr<Process>> StartShell(const v1::ResticLocation& location,
                                              const std::string& directory, const std::string& script) {
  ProcessSpec spec = Shell(kBegin + script);
  spec.working_directory = directory;
  spec.environment["RESTIC_REPOSITORY"] = location.repository();
  spec.environment["RESTIC_PASSWORD_FILE"] = location.password_file();
  spec.environment["RESTIC_CACHE_DIR"] = location.cache_directory();
  return Tools().StartProcess(std::move(spec));
}

}  // namespace

ExclusiveLockOfAZombie::ExclusiveLockOfAZombie(const v1::ResticLocation& location) {
  auto parent = StartShell(location, directory_.Path(), R"sh(
kill -9 $pid
# Without a fork, so that the shell reaps nobody.
while read -r stat < /proc/$pid/stat; do
  case $stat in *') Z '*) break;; esac
done
: > ready
exec sleep 1000
)sh");
  EXPECT_TRUE(parent.ok()) << parent.status();
  if (parent.ok()) parent_ = *std::move(parent);
  EXPECT_TRUE(Eventually([&] { return Exists(directory_ / "ready"); }));
}

LivingExclusiveLock::LivingExclusiveLock(const v1::ResticLocation& location) {
  auto parent = StartShell(location, directory_.Path(), R"sh(
echo $pid > pid
mv pid ready
while [ ! -e go ]; do sleep 0.01; done
kill -INT $pid
wait $pid
)sh");
  EXPECT_TRUE(parent.ok()) << parent.status();
  if (parent.ok()) parent_ = *std::move(parent);
  EXPECT_TRUE(Eventually([&] { return Exists(directory_ / "ready"); }));
  pid_ = std::atoi(ReadFile(directory_ / "ready").value_or("0").c_str());
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
  const auto left = Tools().Run(std::move(spec), {}, SteadyTime::InfiniteFuture());
  EXPECT_TRUE(left.ok()) << left.status();
}

}  // namespace salvor::agent
