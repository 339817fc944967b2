// The command line in a test: a control plane behind a real Unix socket, what is typed, what comes out.
#pragma once

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/io/files.h"
#include "tools/cli/cli.h"
#include "tools/cli/testing/fake_control.h"

namespace salvor::cli {

class FlagInterrupts final : public InterruptSource {
 public:
  void Catch() override { caught = true; }
  void Release() override { caught = false; }
  bool Raised() const override { return raised; }
  std::atomic<bool> caught{false}, raised{false};
};

struct Result {
  int code = 0;
  std::string out, err;
};

class CliTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  void StartServer();
  void StopServer();

  // Writes into the test's directory; its path.
  std::string WriteFile(const std::string& name, const std::string& text, int mode = 0644);

  // Runs the program as a shell would start it, with the server and token of this test, at 2026-11-21 10:15:40 UTC.
  Result Run(const std::vector<std::string>& arguments);

  FakeControl control_;
  std::unique_ptr<grpc::Server> server_;
  std::string directory_, input_;
  std::map<std::string, std::string> variables_;
  bool tty_ = false;
  FlagInterrupts interrupts_;
};

}  // namespace salvor::cli
