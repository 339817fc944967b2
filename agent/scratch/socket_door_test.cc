// The agent's own way to a server's socket leads to the listener that made it, whatever is put in the socket's place.
#include "agent/scratch/socket_door.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/io/files.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;

constexpr char kSocket[] = "server";

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

UniqueFd Listen(const std::string& path) {
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = AddressOf(path);
  EXPECT_EQ(::bind(listener.Get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0) << path;
  EXPECT_EQ(::listen(listener.Get(), 16), 0);
  return listener;
}

// A connected socket; not valid when nobody listens there.
UniqueFd Connect(const std::string& path) {
  UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = AddressOf(path);
  if (::connect(client.Get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    client.Reset();
  return client;
}

bool IsThere(const std::string& path) {
  struct stat facts {};
  return ::lstat(path.c_str(), &facts) == 0;
}

class SocketDoorTest : public testing::Test {
 protected:
  SocketDoorTest() {
    char pattern[] = "/tmp/salvor-door-test-XXXXXX";
    directory_ = ::mkdtemp(pattern);
    EXPECT_TRUE(MakeDirectories(From()).ok());
    EXPECT_TRUE(MakeDirectories(Door()).ok());
  }
  ~SocketDoorTest() override { EXPECT_TRUE(RemoveTree(directory_).ok()); }

  std::string From() const { return directory_ + "/from"; }
  std::string Door() const { return directory_ + "/door"; }
  Status Open(uid_t owner = ::geteuid()) const { return OpenSocketDoor(From(), Door(), kSocket, owner); }
  std::string First() const { return From() + "/" + kSocket; }
  std::string Second() const { return Door() + "/" + kSocket; }

  std::string directory_;
};

TEST_F(SocketDoorTest, WhatBecomesOfTheFirstNameLeadsNobodyAstray) {
  const UniqueFd ours = Listen(First()), other = Listen(directory_ + "/other");
  ASSERT_EQ(Open(), OkStatus());
  ASSERT_EQ(::unlink(First().c_str()), 0);
  ASSERT_EQ(::symlink((directory_ + "/other").c_str(), First().c_str()), 0);
  const UniqueFd client = Connect(Second());
  ASSERT_TRUE(client.Valid());
  const UniqueFd accepted(::accept4(ours.Get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  EXPECT_TRUE(accepted.Valid());
}

TEST_F(SocketDoorTest, ASymlinkToAnotherServersSocketIsRefused) {
  const UniqueFd other = Listen(directory_ + "/other");
  ASSERT_EQ(::symlink((directory_ + "/other").c_str(), First().c_str()), 0);
  const Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_THAT(MessageOf(status), HasSubstr("is no socket"));
  EXPECT_NE(HintOf(status), "");
  EXPECT_FALSE(IsThere(Second()));
}

TEST_F(SocketDoorTest, WhatIsNoSocketIsRefused) {
  ASSERT_TRUE(WriteFileAtomically(First(), "").ok());
  EXPECT_EQ(Open().code(), absl::StatusCode::kPermissionDenied);
  ASSERT_EQ(::unlink(First().c_str()), 0);
  ASSERT_TRUE(MakeDirectories(First()).ok());
  EXPECT_EQ(Open().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_FALSE(IsThere(Second()));
}

TEST_F(SocketDoorTest, ASocketOfAnotherUserIsRefused) {
  const UniqueFd listener = Listen(First());
  const Status status = Open(::geteuid() + 1);
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_THAT(MessageOf(status), HasSubstr(fmt::format("belongs to user id {}", ::geteuid())));
  EXPECT_FALSE(IsThere(Second()));
  EXPECT_EQ(Open(), OkStatus());
}

TEST_F(SocketDoorTest, ADoorToWhatIsGoneIsClosed) {
  {
    const UniqueFd listener = Listen(First());
    ASSERT_EQ(Open(), OkStatus());
  }
  ASSERT_EQ(::unlink(First().c_str()), 0);
  EXPECT_EQ(Open().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(IsThere(Second()));
}

TEST_F(SocketDoorTest, WhoListensIsToldApartByUserAndProcess) {
  const UniqueFd listener = Listen(First());
  const UniqueFd client = Connect(First());
  ASSERT_TRUE(client.Valid());
  const int self = ::getpid();
  EXPECT_EQ(CheckListener(client.Get(), ::geteuid(), {1, self}), OkStatus());
  for (const Status& refused :
       {CheckListener(client.Get(), ::geteuid() + 1, {self}),
        CheckListener(client.Get(), ::geteuid(), {self + 1}), CheckListener(client.Get(), ::geteuid(), {})}) {
    EXPECT_EQ(refused.code(), absl::StatusCode::kPermissionDenied) << refused;
    EXPECT_THAT(MessageOf(refused), HasSubstr(fmt::format("process {}", self)));
    EXPECT_NE(HintOf(refused), "");
  }
}

}  // namespace
}  // namespace salvor::agent
