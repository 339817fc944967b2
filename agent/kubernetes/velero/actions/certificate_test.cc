// Against the server of the openssl program.
#include "agent/kubernetes/velero/actions/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io/files.h"
#include "base/io/steady_clock.h"

namespace salvor::velero {
namespace {

using testing::HasSubstr;

class CertificateTest : public testing::Test {
 protected:
  CertificateTest() {
    std::string place = testing::TempDir() + "salvor-certificate-XXXXXX";
    folder_ = ::mkdtemp(place.data());
  }
  ~CertificateTest() override {
    if (server_ > 0) {
      ::kill(server_, SIGKILL);
      ::waitpid(server_, nullptr, 0);
    }
    EXPECT_TRUE(RemoveTree(folder_).ok());
  }

  // A certificate for that address, signed by itself, in a file.
  std::string MakeCertificate(const std::string& name, const std::string& address) const {
    const std::string file = folder_ + "/" + name;
    const std::string command =
        "openssl req -x509 -newkey ec -nodes -days 2 -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=" +
        name + " -addext subjectAltName=IP:" + address + " -keyout " + file + ".key -out " + file +
        ".pem 2>/dev/null";
    EXPECT_EQ(::system(command.c_str()), 0);
    return file + ".pem";
  }

  // Its address, once it listens.
  std::string Serve(const std::string& name) {
    int said[2];
    EXPECT_EQ(::pipe(said), 0);
    const std::string certificate = folder_ + "/" + name + ".pem", key = folder_ + "/" + name + ".key";
    server_ = ::fork();
    if (server_ == 0) {
      ::dup2(said[1], STDOUT_FILENO);
      ::execlp("openssl", "openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert",
               certificate.c_str(), "-key", key.c_str(), static_cast<char*>(nullptr));
      ::_exit(127);
    }
    ::close(said[1]);
    const std::string ready = "ACCEPT 127.0.0.1:";
    std::string text;
    char piece[256];
    ssize_t length = 0;
    while (text.find(ready) == std::string::npos || text.find('\n', text.find(ready)) == std::string::npos) {
      length = ::read(said[0], piece, sizeof piece);
      if (length <= 0) break;
      text.append(piece, static_cast<size_t>(length));
    }
    ::close(said[0]);
    EXPECT_GT(length, 0) << text;
    const size_t port = text.find(ready) + ready.size();
    return "https://127.0.0.1:" + text.substr(port, text.find('\n', port) - port) + "/";
  }

  std::string folder_;
  pid_t server_ = 0;
};

TEST_F(CertificateTest, OfAnAuthorityThatIsTrustedIsRight) {
  const std::string good = MakeCertificate("good", "127.0.0.1");
  const std::string address = Serve("good");
  const Status trusted = CheckCertificate(address, {}, good);
  EXPECT_TRUE(trusted.ok()) << trusted;
}

TEST_F(CertificateTest, OfAnAuthorityThatIsNotTrustedIsNamed) {
  MakeCertificate("good", "127.0.0.1");
  const std::string other = MakeCertificate("other", "127.0.0.1");
  const std::string address = Serve("good");
  for (const std::string& authorities : {std::string(), other}) {
    const Status refused = CheckCertificate(address, {}, authorities);
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
    EXPECT_THAT(MessageOf(refused), HasSubstr("certificate")) << refused;
  }
}

TEST_F(CertificateTest, OfAnotherAddressIsNotTrusted) {
  const std::string elsewhere = MakeCertificate("elsewhere", "127.0.0.2");
  const Status refused = CheckCertificate(Serve("elsewhere"), {}, elsewhere);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
}

TEST_F(CertificateTest, WhereNobodyListensSaysNothingOfTrust) {
  EXPECT_EQ(CheckCertificate("https://127.0.0.1:1/", {}).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CheckCertificate("http://127.0.0.1:1/", {}).code(), absl::StatusCode::kUnavailable);
}

TEST_F(CertificateTest, EndsWithItsTimeAndWhenItIsAskedTo) {
  kubernetes::Call call;
  call.deadline = SteadyNow() - absl::Seconds(1);
  EXPECT_EQ(CheckCertificate("https://127.0.0.1:1/", call).code(), absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace salvor::velero
