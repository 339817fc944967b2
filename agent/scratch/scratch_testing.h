// A small server for scratch places, of any kind that a test names: no agent has it. Tests only; it needs Python.
#pragma once

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/scratch/scratch_engine.h"
#include "agent/scratch/scratch_state.h"
#include "agent/scratch/socket_door.h"
#include "base/io/files.h"

namespace salvor::agent {

inline constexpr char kToyServer[] = R"py(
import os, socket, sys
os.chdir(sys.argv[1])
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[2] + "/toy")
server.listen()
while True:
    session, _ = server.accept()
    session.sendall(open("kind", "rb").read())
    session.close()
)py";

// The toy server that listens in this folder says its kind; an error while there is none.
inline StatusOr<std::string> HearToy(const std::string& folder) {
  const UniqueFd session(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (folder + "/toy").copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (::connect(session.Get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return ErrnoStatus(errno, "connect");
  std::string said;
  std::array<char, 64> piece{};
  for (ssize_t got = 0; (got = ::read(session.Get(), piece.data(), piece.size())) > 0;)
    said.append(piece.data(), static_cast<size_t>(got));
  return said;
}

// A server that says what kind it is, which it knows from its data.
class ToyEngine final : public ScratchEngine {
 public:
  explicit ToyEngine(std::string kind, std::string programs = "")
      : kind_(std::move(kind)), programs_(std::move(programs)) {}

  std::string Kind() const override { return kind_; }
  std::string ProgramFolder() const override { return programs_; }
  int64_t EmptyServerBytes() const override { return 1 << 20; }
  Status CheckVersion(int32_t source_version) const override {
    return source_version <= 7 ? OkStatus() : FailedPrecondition("this {} is of version 7", kind_);
  }
  ProcessSpec Initializer(const ScratchState& state) const override {
    ProcessSpec spec;
    spec.argv = {"/bin/sh", "-c", fmt::format("printf {} > {}/kind", kind_, DataSeenBy(state))};
    return spec;
  }
  ProcessSpec Server(const ScratchState& state) const override {
    ProcessSpec spec;
    spec.argv = {"/usr/bin/python3", "-c", kToyServer, DataSeenBy(state),
                 state.sandboxed ? kScratchSocket : state.directory + "/socket"};
    spec.stop_signal = SIGKILL;
    return spec;
  }
  bool IsFatal(std::string_view line) const override { return line.find("Error") != std::string_view::npos; }
  Status OpenDoor(const ScratchState& state) const override {
    return OpenSocketDoor(state.directory + "/socket", state.directory + "/door", "toy",
                          ScratchUserOf(state));
  }
  ScratchAnswer Ask(const ScratchState& state) const override {
    const auto said = HearToy(state.socket_directory);
    if (!said.ok()) return {said.status(), OkStatus()};
    return {OkStatus(), *said == kind_ ? OkStatus() : PermissionDenied("it is of kind '{}'", *said)};
  }
  std::vector<std::string> LeftByDeadServer() const override { return {"socket/toy", "door/toy"}; }

 private:
  static std::string DataSeenBy(const ScratchState& state) {
    return state.sandboxed ? kScratchData : state.directory + "/data";
  }

  const std::string kind_, programs_;
};

}  // namespace salvor::agent
