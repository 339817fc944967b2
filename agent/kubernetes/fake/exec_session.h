// One exec behind one WebSocket of FakeApiServer: the channels of v5.channel.k8s.io on one side, FakeKubernetes' Exec
// on the other, on a thread of its own.
#pragma once

#include <civetweb.h>

#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "agent/kubernetes/fake/fake_kubernetes.h"
#include "base/io/files.h"

namespace salvor::kubernetes {

class ExecSession {
 public:
  // `connection` must live until End. With `drops_status` the connection ends without a Status.
  ExecSession(FakeKubernetes& kubernetes, mg_connection* connection, ExecCommand command, bool has_stdin,
              bool drops_status);

  // A message from the client.
  void Take(std::string_view message);

  void Stop() { stop_.request_stop(); }

  // The connection has ended: stops the command, and waits for it.
  void End();

 private:
  void Send(char channel, std::string_view data) const;

  mg_connection* const connection_;
  ExecCommand command_;
  const bool drops_status_;
  UniqueFd input_;         // the command reads here
  UniqueFd input_writer_;  // and this is filled from channel 0
  std::stop_source stop_;
  std::thread thread_;
};

}  // namespace salvor::kubernetes
