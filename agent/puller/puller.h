// The agent's end of the stream: connects, says hello, hands tasks to the executor and its reports back, and
// does it all again when the connection is lost, for as long as it takes. After a reconnect each result of before travels
// alone, so that one which the control plane can't take is found, put aside and shown, and the agent stays.
#pragma once

#include <memory>
#include <string>

#include "agent/executor/executor.h"
#include "base/io/grpc/endpoint.h"
#include "base/io/grpc/token.h"

namespace salvor::agent {

struct PullerOptions {
  Endpoint endpoint;
  TlsFiles tls;
  std::string token_file;
  std::string version;
  std::string host;
  std::string instance;  // drawn by whoever starts the process
};

class Puller {
 public:
  virtual ~Puller() = default;
  // Runs until Stop. Returns an error only when trying again is pointless (the token file is not there).
  virtual Status Run() = 0;
  // May be called from any thread.
  virtual void Stop() = 0;
  virtual bool Connected() = 0;
};

// Becomes the executor's sink, so it must outlive the executor; Run must have returned before the executor
// goes.
std::unique_ptr<Puller> MakePuller(const AgentConfig& config, Executor& executor, PullerOptions options);

}  // namespace salvor::agent
