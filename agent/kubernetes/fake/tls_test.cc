// The client over TLS, against the server of the openssl program: whom it trusts.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <thread>

#include "agent/kubernetes/fake/conformance_testing.h"
#include "base/io/mutex.h"

namespace salvor::kubernetes {
namespace {

using Code = absl::StatusCode;

class Tls : public testing::Test {
 protected:
  Tls() {
    std::string place = testing::TempDir() + "salvor-tls-XXXXXX";
    folder_ = ::mkdtemp(place.data());
    const std::string version = R"({"major": "1", "minor": "34", "gitVersion": "v1.34.4"})";
    const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(version.size()) +
                               "\r\nConnection: close\r\n\r\n" + version;
    EXPECT_TRUE(WriteFileAtomically(folder_ + "/version", answer).ok());  // what is served at /version
    options_.patience = absl::Milliseconds(100);
  }

  ~Tls() override {
    stop_.request_stop();
    if (server_.joinable()) server_.join();
    EXPECT_TRUE(RemoveTree(folder_).ok());
  }

  // A certificate for that address, signed by itself, and its key, in NAME.pem and NAME.key.
  std::string MakeCertificate(const std::string& name, const std::string& address) {
    ExecCommand command{"",
                        "",
                        "",
                        {"sh", "-c", R"(cd "$1" && openssl req -x509 -newkey ec -nodes -days 2 \
        -pkeyopt ec_paramgen_curve:prime256v1 -subj "/CN=$2" -addext "subjectAltName=IP:$3" \
        -keyout "$2.key" -out "$2.pem")",
                         "sh", folder_, name, address}};
    EXPECT_EQ(RunLocally(command, Soon()).value_or(-1), 0);
    return Read(name + ".pem");
  }

  std::string Read(const std::string& name) const { return ReadFile(folder_ + "/" + name).value_or(""); }

  // Serves with that certificate, until the test ends.
  void Serve(const std::string& name, const std::string& further = "") {
    server_ = std::thread([this, name, further] {
      ExecCommand command{"",
                          "",
                          "",
                          {"sh", "-c", R"(cd "$1" && exec openssl s_server -accept 127.0.0.1:0 -HTTP \
          -cert "$2.pem" -key "$2.key" )" + further,
                           "sh", folder_, name}};
      command.on_stdout = [this](std::string_view piece) {
        MutexLock lock(mutex_);
        said_ += piece;
        changed_.NotifyAll();
        return OkStatus();
      };
      static_cast<void>(RunLocally(command, {stop_.get_token()}));
    });
    constexpr std::string_view kReady = "ACCEPT 127.0.0.1:";
    MutexLock lock(mutex_);
    while (said_.find(kReady) == std::string::npos ||
           said_.find('\n', said_.find(kReady)) == std::string::npos) {
      changed_.Wait(mutex_);
    }
    const size_t port = said_.find(kReady) + kReady.size();
    port_ = said_.substr(port, said_.find('\n', port) - port);
  }

  std::unique_ptr<Kubernetes> Client(const std::string& ca_pem, const std::string& client_name = "") {
    ClusterAccess access;
    access.server = "https://127.0.0.1:" + port_;
    access.ca_pem = ca_pem;
    if (!client_name.empty()) {
      access.client_certificate_pem = Read(client_name + ".pem");
      access.client_key_pem = Read(client_name + ".key");
    }
    return MakeHttpKubernetes([access]() -> StatusOr<ClusterAccess> { return access; }, options_);
  }

  std::string folder_;
  std::string port_;
  HttpOptions options_;
  std::stop_source stop_;
  std::thread server_;
  Mutex mutex_;
  CondVar changed_;
  std::string said_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(Tls, TheAuthorityOfTheKubeconfigIsTrustedAndNoOther) {
  const std::string good = MakeCertificate("good", "127.0.0.1");
  const std::string other = MakeCertificate("other", "127.0.0.1");
  Serve("good");
  const auto version = Client(good)->Version(Soon());
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(version->minor, 34);
  const Status refused = Client(other)->Version(Soon()).status();
  EXPECT_EQ(refused.code(), Code::kFailedPrecondition) << refused;
  EXPECT_NE(HintOf(refused), "");
  EXPECT_EQ(Client("")->Version(Soon()).status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(Client("no PEM")->Version(Soon()).status().code(), Code::kFailedPrecondition);
  const Status exec = Client(other)->Exec({"ns", "pod", "main", {"true"}}, Soon()).status();
  EXPECT_EQ(exec.code(), Code::kFailedPrecondition) << exec;
}

TEST_F(Tls, ACertificateForAnotherAddressIsRefused) {
  const std::string elsewhere = MakeCertificate("elsewhere", "127.0.0.2");
  Serve("elsewhere");
  const Status refused = Client(elsewhere)->Version(Soon()).status();
  EXPECT_EQ(refused.code(), Code::kFailedPrecondition) << refused;
}

TEST_F(Tls, AClientCertificateIsShown) {
  const std::string good = MakeCertificate("good", "127.0.0.1");
  MakeCertificate("client", "127.0.0.1");
  Serve("good", "-Verify 1 -verify_return_error -CAfile client.pem");
  const auto version = Client(good, "client")->Version(Soon());
  EXPECT_TRUE(version.ok()) << version.status();
  EXPECT_FALSE(Client(good)->Version(Soon()).ok());
  EXPECT_FALSE(Client(good, "good")->Version(Soon()).ok());
}

}  // namespace
}  // namespace salvor::kubernetes
