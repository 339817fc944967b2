// Who may call what: every method of both services, asked of their descriptors, with every kind of token.
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>

#include <map>
#include <vector>

#include "controlplane/services/services_testing.h"

namespace salvor::controlplane {
namespace {

enum class For { kPeople, kAgents };

// A method that is missing here, or is here and does not exist, fails the test.
const std::map<std::string, For> kAccess = {
    {"/salvor.v1.AgentService/Connect", For::kAgents},
    {"/salvor.v1.ControlService/AcceptBackup", For::kPeople},
    {"/salvor.v1.ControlService/Apply", For::kPeople},
    {"/salvor.v1.ControlService/CancelRun", For::kPeople},
    {"/salvor.v1.ControlService/CreateBackup", For::kPeople},
    {"/salvor.v1.ControlService/CreateDrill", For::kPeople},
    {"/salvor.v1.ControlService/CreateRestore", For::kPeople},
    {"/salvor.v1.ControlService/CreateToken", For::kPeople},
    {"/salvor.v1.ControlService/DeleteObject", For::kPeople},
    {"/salvor.v1.ControlService/GetBackup", For::kPeople},
    {"/salvor.v1.ControlService/GetRun", For::kPeople},
    {"/salvor.v1.ControlService/GetRunLogs", For::kPeople},
    {"/salvor.v1.ControlService/GetVersion", For::kPeople},
    {"/salvor.v1.ControlService/ListAgents", For::kPeople},
    {"/salvor.v1.ControlService/ListBackups", For::kPeople},
    {"/salvor.v1.ControlService/ListObjects", For::kPeople},
    {"/salvor.v1.ControlService/ListRuns", For::kPeople},
    {"/salvor.v1.ControlService/ListTokens", For::kPeople},
    {"/salvor.v1.ControlService/RevokeToken", For::kPeople},
    {"/salvor.v1.ControlService/WatchRun", For::kPeople},
};

std::vector<std::string> EveryMethod() {
  std::vector<std::string> methods;
  for (const auto* file :
       {v1::ListAgentsRequest::descriptor()->file(), v1::AgentHello::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) {
      const auto* service = file->service(i);
      for (int m = 0; m < service->method_count(); ++m)
        methods.push_back("/" + service->full_name() + "/" + service->method(m)->name());
    }
  }
  return methods;
}

class AccessTest : public ServicesTest {
 protected:
  // The answer's code to an empty request, with these words as the header; without the header when they are empty.
  grpc::StatusCode Ask(const std::string& method, const std::string& authorization) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
    if (!authorization.empty()) context.AddMetadata("authorization", authorization);
    grpc::GenericStub stub(channel_);
    grpc::CompletionQueue queue;
    const auto wait = [&queue] {
      void* tag = nullptr;
      bool ok = false;
      return queue.Next(&tag, &ok) && ok;
    };
    // On the wire a call with one request is a stream of one.
    auto call = stub.PrepareCall(&context, method, &queue);
    call->StartCall(nullptr);
    bool going = wait();
    grpc::Slice nothing("");
    const grpc::ByteBuffer request(&nothing, 1);
    if (going) {
      call->WriteLast(request, grpc::WriteOptions(), nullptr);
      going = wait();
    }
    grpc::ByteBuffer answer;
    while (going) {
      call->Read(&answer, nullptr);
      going = wait();
    }
    grpc::Status status;
    call->Finish(&status, nullptr);
    EXPECT_TRUE(wait());
    return status.error_code();
  }

  static bool Admitted(grpc::StatusCode code) {
    return code != grpc::StatusCode::UNAUTHENTICATED && code != grpc::StatusCode::PERMISSION_DENIED;
  }
};

TEST_F(AccessTest, TheTableNamesEveryMethodAndNoOther) {
  std::vector<std::string> named;
  for (const auto& [method, who] : kAccess) named.push_back(method);
  EXPECT_THAT(EveryMethod(), testing::UnorderedElementsAreArray(named));
}

TEST_F(AccessTest, EveryMethodAdmitsWhomTheTableNamesAndNobodyElse) {
  const std::string named = "Bearer " + MakeToken("web", "vps-1", "web-1");
  const std::string revoked = "Bearer " + MakeToken("old", "vps-1", "web-1");
  ASSERT_TRUE(Revoke("old").ok());
  const std::string people = std::string("Bearer ") + kPeople, agents = std::string("Bearer ") + kAgents;
  for (const std::string& method : EveryMethod()) {
    SCOPED_TRACE(method);
    for (const std::string& nobody :
         {std::string(), std::string("Bearer "), std::string("Bearer wrong"), revoked, std::string(kPeople),
          "Basic " + std::string(kPeople), people + "x", named + "0", people.substr(0, people.size() - 1)}) {
      EXPECT_EQ(Ask(method, nobody), grpc::StatusCode::UNAUTHENTICATED) << nobody;
    }
    const auto who = kAccess.find(method);
    if (who == kAccess.end()) continue;  // the other test says so
    const bool for_people = who->second == For::kPeople;
    for (const std::string& agent : {named, agents}) {
      if (for_people) {
        EXPECT_EQ(Ask(method, agent), grpc::StatusCode::PERMISSION_DENIED);
      } else {
        EXPECT_TRUE(Admitted(Ask(method, agent)));
      }
    }
    if (for_people) {
      EXPECT_TRUE(Admitted(Ask(method, people))) << Ask(method, people);
    } else {
      EXPECT_EQ(Ask(method, people), grpc::StatusCode::PERMISSION_DENIED);
    }
  }
}

}  // namespace
}  // namespace salvor::controlplane
