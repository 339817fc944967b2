#include "tools/cli/testing/cli_fixture.h"

#include <chrono>
#include <cstdlib>
#include <sstream>

namespace salvor::cli {

void CliTest::SetUp() {
  std::string pattern = testing::TempDir() + "/cliXXXXXX";
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  directory_ = pattern;
  WriteFile("token", std::string(FakeControl::kToken) + "\n", 0600);
  StartServer();
}

void CliTest::TearDown() {
  StopServer();
  EXPECT_TRUE(RemoveTree(directory_).ok());
}

void CliTest::StartServer() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + directory_ + "/s", grpc::InsecureServerCredentials());
  builder.RegisterService(&control_);
  server_ = builder.BuildAndStart();
  ASSERT_NE(server_, nullptr);
}

void CliTest::StopServer() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
}

std::string CliTest::WriteFile(const std::string& name, const std::string& text, int mode) {
  std::string path = directory_ + "/" + name;
  EXPECT_TRUE(WriteFileAtomically(path, text, mode).ok());
  return path;
}

Result CliTest::Run(const std::vector<std::string>& arguments) {
  std::istringstream in(input_);
  std::ostringstream out, err;
  const FakeClock clock(absl::FromUnixSeconds(1795256140));
  Environment environment;
  environment.variables = variables_;
  environment.variables.emplace("SALVOR_SERVER", "unix://" + directory_ + "/s");
  environment.variables.emplace("SALVOR_TOKEN_FILE", directory_ + "/token");
  environment.in = &in;
  environment.out = &out;
  environment.err = &err;
  environment.in_is_tty = environment.out_is_tty = environment.err_is_tty = tty_;
  environment.size = [] { return TerminalSize{80, 24}; };
  environment.clock = &clock;
  environment.interrupts = &interrupts_;
  Result result;
  result.code = RunCli(arguments, environment);
  result.out = out.str();
  result.err = err.str();
  return result;
}

}  // namespace salvor::cli
