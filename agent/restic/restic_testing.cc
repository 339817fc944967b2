#include "agent/restic/restic_testing.h"

#include <cstdlib>
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

namespace {

// Without a fork, so that the shell reaps nobody: whether there is a whole lock, and whether $pid has ended.
constexpr char kFunctions[] = R"sh(
left() {
  for lock in "$RESTIC_REPOSITORY"/locks/*; do
    case $lock in *'*'|*tmp*) ;; *) return 0;; esac
  done
  return 1
}
gone() {
  read -r stat < /proc/$pid/stat || return 0
  case $stat in *') Z '*) return 0;; esac
  return 1
}
stopped() {
  read -r stat < /proc/$pid/stat || return 1
  case $stat in *') T '*) return 0;; esac
  return 1
}
)sh";

StatusOr<std::unique_ptr<Process>> StartShell(const v1::ResticLocation& location,
                                              const std::string& directory, const std::string& script) {
  ProcessSpec spec = Shell(kFunctions + script);
  spec.working_directory = directory;
  spec.environment["RESTIC_REPOSITORY"] = location.repository();
  spec.environment["RESTIC_PASSWORD_FILE"] = location.password_file();
  spec.environment["RESTIC_CACHE_DIR"] = location.cache_directory();
  return Process::Start(Supervisor(), std::move(spec));
}

}  // namespace

ExclusiveLockOfAZombie::ExclusiveLockOfAZombie(const v1::ResticLocation& location) {
  auto parent = StartShell(location, directory_.Path(), R"sh(
while :; do
  restic check >/dev/null 2>&1 & pid=$!
  until left || gone; do :; done
  kill -9 $pid
  until gone; do :; done
  if left; then break; fi
  wait $pid
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
while :; do
  restic check >/dev/null 2>&1 & pid=$!
  until left || gone; do :; done
  kill -STOP $pid
  until stopped || gone; do :; done
  if stopped && left; then break; fi
  kill -9 $pid
  wait $pid
  rm -f "$RESTIC_REPOSITORY"/locks/*
done
echo $pid > pid
mv pid ready
while [ ! -e go ]; do sleep 0.01; done
kill -CONT $pid
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
  const auto left = RunProcess(Supervisor(), std::move(spec), {}, absl::InfiniteFuture());
  EXPECT_TRUE(left.ok()) << left.status();
}

}  // namespace salvor::agent
