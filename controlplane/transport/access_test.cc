// Who may call what: every method of both services, asked of their descriptors, with every kind and class of token.
#include "controlplane/api/access.h"

#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <map>
#include <vector>

#include "controlplane/transport/transport_testing.h"

namespace salvor::controlplane {
namespace {

constexpr char kControl[] = "/salvor.v1.ControlService/";

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
    // A call with one request is a stream of one on the wire.
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

TEST_F(AccessTest, NobodyComesInWithoutAValidTokenOfTheRightKind) {
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
    const bool for_people = method.rfind(kControl, 0) == 0;
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

// Every method asks the table over the wire, streams too, and each by its own name.
TEST_F(AccessTest, EveryMethodAsksForTheClassThatTheTableNames) {
  std::map<v1::TokenClass, std::string> tokens;
  for (int each = v1::TOKEN_CLASS_VIEW; each <= v1::TOKEN_CLASS_ADMINISTER; ++each) {
    const auto token_class = static_cast<v1::TokenClass>(each);
    tokens[token_class] = "Bearer " + MakeUserToken(fmt::format("class-{}", each), token_class);
  }
  size_t asked = 0;
  for (const std::string& method : EveryMethod()) {
    if (method.rfind(kControl, 0) != 0) continue;
    const auto& rules = AccessRules();
    const auto rule = std::find_if(rules.begin(), rules.end(), [&](const AccessRule& each) {
      return kControl + std::string(each.operation) == method;
    });
    ASSERT_NE(rule, rules.end()) << method;
    ++asked;
    for (const auto& [token_class, token] : tokens) {
      const grpc::StatusCode code = Ask(method, token);
      if (token_class >= rule->needed) {
        EXPECT_TRUE(Admitted(code)) << method << " " << token_class << " " << code;
      } else {
        EXPECT_EQ(code, grpc::StatusCode::PERMISSION_DENIED) << method << " " << token_class;
      }
    }
  }
  EXPECT_EQ(asked, AccessRules().size());
}

TEST_F(AccessTest, ARefusalNamesTheMissingClassAndWhoCallsIsOnRecord) {
  const std::string viewer = MakeUserToken("looks", v1::TOKEN_CLASS_VIEW);
  v1::CreateTokenRequest request;
  request.set_name("more");
  request.set_kind(v1::TOKEN_KIND_USER);
  request.set_token_class(v1::TOKEN_CLASS_VIEW);
  const auto refused = Call(&v1::ControlService::Stub::CreateToken, request, viewer);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(MessageOf(refused.status()),
            "this needs a token of class administer, and looks is of class view");
  EXPECT_THAT(HintOf(refused.status()), testing::HasSubstr("salvor token create NAME --class administer"));
  const auto made = Call(&v1::ControlService::Stub::CreateToken, request,
                         MakeUserToken("anna", v1::TOKEN_CLASS_ADMINISTER));
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->token().created_by(), "anna");
}

}  // namespace
}  // namespace salvor::controlplane
