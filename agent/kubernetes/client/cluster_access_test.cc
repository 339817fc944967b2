#include "agent/kubernetes/client/cluster_access.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <map>

#include "agent/kubernetes/client/access_cache.h"

namespace salvor::kubernetes {
namespace {

// Files that a kubeconfig names.
const std::map<std::string, std::string>& Files() {
  static const std::map<std::string, std::string> kFiles = {
      {"/etc/k/ca.pem", "CA"},
      {"/etc/k/token", " tok\n"},
      {"/abs/key.pem", "KEY"},
      {"/pod/token", "pod-token\n"},
      {"/pod/ca.crt", "POD CA"},
      {"/pod/namespace", "salvor"},
      {"/bad/token", "two\nlines"},
      {"/bad/ca.crt", "CA"},
      {"/empty/token", "\n"},
      {"/empty/ca.crt", "CA"},
      {"/trusting/token", "t"},
      {"/trusting/ca.crt", "\n"},
      {"/lost/token", "t"},
      {"/k/8.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nhunter2"},
      {"/k/1.pem", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nhunter2"},
      {"/etc/k/empty", " \n"}};
  return kFiles;
}

StatusOr<std::string> ReadFake(const std::string& path) {
  const auto found = Files().find(path);
  if (found == Files().end()) return NotFound("open {}: No such file or directory", path);
  return found->second;
}

std::string Kubeconfig(const std::string& cluster, const std::string& user) {
  return fmt::format(
      "apiVersion: v1\nkind: Config\ncurrent-context: here\n"
      "contexts:\n- name: here\n  context: {{cluster: c, user: u, namespace: shop}}\n"
      "- name: anonymous\n  context: {{cluster: c}}\n- name: lost\n  context: {{cluster: elsewhere, user: u}}\n"
      "clusters:\n- name: c\n  cluster: {{{}}}\nusers:\n- name: u\n  user: {{{}}}\n",
      cluster, user);
}

StatusOr<ClusterAccess> Parse(const std::string& cluster, const std::string& user,
                              const std::string& context = "") {
  return ParseKubeconfig(Kubeconfig(cluster, user), "/etc/k", context, ReadFake);
}

const char kServer[] = "server: 'https://10.0.0.1:6443/'";

TEST(Kubeconfig, GivesTheCurrentContext) {
  const auto access = Parse(std::string(kServer) + ", certificate-authority-data: UEVN", "token: abc");
  ASSERT_TRUE(access.ok()) << access.status();
  EXPECT_EQ(access->server, "https://10.0.0.1:6443");
  EXPECT_EQ(access->ca_pem, "PEM");
  EXPECT_EQ(access->token, "abc");
  EXPECT_EQ(access->name_space, "shop");
  EXPECT_EQ(access->proxy_url, "");
}

TEST(Kubeconfig, ReadsFilesRelativeToItself) {
  const auto access =
      Parse(std::string(kServer) + ", certificate-authority: ca.pem",
            "client-certificate-data: Q1JU, client-key: /abs/key.pem, tokenFile: token, token: old");
  ASSERT_TRUE(access.ok()) << access.status();
  EXPECT_EQ(access->ca_pem, "CA");
  EXPECT_EQ(access->client_certificate_pem, "CRT");
  EXPECT_EQ(access->client_key_pem, "KEY");
  EXPECT_EQ(access->token, "tok");
}

TEST(Kubeconfig, OtherContextsAreChosenByName) {
  const auto anonymous = Parse(kServer, "token: abc", "anonymous");
  ASSERT_TRUE(anonymous.ok());
  EXPECT_EQ(anonymous->token, "");
  EXPECT_EQ(MessageOf(Parse(kServer, "token: abc", "lost").status()),
            "the kubeconfig has no cluster called 'elsewhere'");
  EXPECT_EQ(MessageOf(Parse(kServer, "token: abc", "none").status()),
            "the kubeconfig has no context called 'none'");
}

TEST(Kubeconfig, WhatWouldBeUnsafeIsRefusedByNameWithWhatToDo) {
  const struct {
    const char* cluster;
    const char* user;
    const char* named;
  } kCases[] = {
      {"server: 'https://h'", "exec: {command: aws}", "exec plugin"},
      {"server: 'https://h'", "auth-provider: {name: gcp}", "auth-provider plugin"},
      {"server: 'https://h'", "username: u, password: p", "username"},
      {"server: 'https://h'", "token: t, as: admin", "acts as somebody else"},
      {"server: 'https://h', insecure-skip-tls-verify: true", "token: t", "insecure-skip-tls-verify"},
      {"server: 'https://h', tls-server-name: other", "token: t", "tls-server-name"},
      {"server: 'https://h'", "client-certificate-data: Q1JU, client-key: /k/8.pem", "client-key"},
      {"server: 'https://h'", "client-certificate-data: Q1JU, client-key: /k/1.pem", "client-key"},
      {"server: 'http://10.0.0.1:8080'", "token: t", "not encrypted"},
      {"server: 'http://localhost.example.org'", "token: t", "not encrypted"},
  };
  for (const auto& one : kCases) {
    const auto access = Parse(one.cluster, one.user);
    ASSERT_FALSE(access.ok()) << one.cluster << one.user;
    EXPECT_NE(MessageOf(access.status()).find(one.named), std::string::npos) << access.status();
    EXPECT_NE(HintOf(access.status()), "") << access.status();
  }
}

TEST(Kubeconfig, PlainHttpIsForThisMachineAlone) {
  for (const char* server : {"http://127.0.0.1:8001", "http://localhost:8001", "http://[::1]:8001"}) {
    EXPECT_TRUE(Parse(fmt::format("server: '{}'", server), "token: t").ok()) << server;
  }
}

TEST(Kubeconfig, WhatIsBrokenIsNamedWithoutItsContent) {
  const char* const kCases[][2] = {
      {"server: 'https://h', certificate-authority-data: '%%%'", "token: t"},
      {"server: 'https://h', certificate-authority: missing.pem", "token: t"},
      {"server: 'https://h'", "client-certificate-data: Q1JU"},
      {"server: 'https://h'", "token: 'hunter2\\r\\nX-Evil: 1'"},
      {"server: ftp://h", "token: t"},
      {"server: 'https://'", "token: t"},
      {"server: 'http://'", "token: t"},
      {"server: 'http://127.0.0.1:hunter2@evil.example.org'", "token: t"},
      {"server: 'https://hunter2:p@h'", "token: t"},
      {"server: 'http://localhost\\\\@evil.example.org'", "token: t"},
      {"server: 'http://localhost?hunter2'", "token: t"},
      {"server: 'http://localhost#hunter2'", "token: t"},
      {"server: \"http://localhost\\r\\nX-Evil: hunter2\"", "token: t"},
      {"proxy-url: x", "token: t"},
  };
  for (const auto& one : kCases) {
    const auto access = Parse(one[0], one[1]);
    ASSERT_FALSE(access.ok()) << one[0] << " " << one[1];
    EXPECT_EQ(MessageOf(access.status()).find("hunter2"), std::string::npos);
  }
  for (const char* text : {"", "token: [hunter2", "a: 1\n---\nb: 2\n", "current-context: here",
                           "current-context: x\ncontexts: 5",
                           "current-context: x\ncontexts: [5, {name: x}, {name: x, context: 5}]"}) {
    const auto access = ParseKubeconfig(text, ".", "", ReadFake);
    ASSERT_FALSE(access.ok()) << text;
    EXPECT_EQ(MessageOf(access.status()).find("hunter2"), std::string::npos);
  }
}

TEST(InCluster, ReadsWhatAPodIsGiven) {
  const auto access = ParseInCluster("10.96.0.1", "443", "/pod", ReadFake);
  ASSERT_TRUE(access.ok()) << access.status();
  EXPECT_EQ(access->server, "https://10.96.0.1:443");
  EXPECT_EQ(access->token, "pod-token");
  EXPECT_EQ(access->ca_pem, "POD CA");
  EXPECT_EQ(access->name_space, "salvor");
  EXPECT_EQ(ParseInCluster("fd00::1", "443", "/pod", ReadFake)->server, "https://[fd00::1]:443");
}

TEST(InCluster, WhatIsMissingIsNamed) {
  EXPECT_FALSE(ParseInCluster("", "443", "/pod", ReadFake).ok());
  EXPECT_FALSE(ParseInCluster("h", "", "/pod", ReadFake).ok());
  const char* const kCases[][2] = {
      {"/none", "open /none/token: No such file or directory"},
      {"/bad", "the token holds characters that no token has"},
      {"/empty", "the pod's service account token is empty"},
      {"/lost", "open /lost/ca.crt: No such file or directory"},
      {"/trusting",
       "the cluster's certificate authority is empty"},  // it would trust what the machine trusts
  };
  for (const auto& [folder, said] : kCases) {
    const auto access = ParseInCluster("h", "1", folder, ReadFake);
    ASSERT_FALSE(access.ok()) << folder;
    EXPECT_NE(MessageOf(access.status()).find(said), std::string::npos) << access.status();
  }
}

TEST(Kubeconfig, AnEmptyFileIsNotThatThereIsNone) {
  const char* const kCases[][3] = {
      {"server: 'https://h', certificate-authority: empty", "token: t", "certificate-authority"},
      {"server: 'https://h', certificate-authority-data: IAo=", "token: t", "certificate-authority-data"},
      {"server: 'https://h'", "client-certificate-data: Q1JU, client-key: empty", "client-key"},
      {"server: 'https://h'", "tokenFile: empty, token: old", "tokenFile"},
  };
  for (const auto& [cluster, user, named] : kCases) {
    const auto access = Parse(cluster, user);
    ASSERT_FALSE(access.ok()) << cluster << " " << user;
    EXPECT_TRUE(MessageOf(access.status()).starts_with(named)) << access.status();
  }
}

// An AccessLoader that counts, and fails when told to.
struct Loads {
  int count = 0;
  bool fails = false;
  AccessLoader Loader() {
    return [this]() -> StatusOr<ClusterAccess> {
      ++count;
      if (fails) return Unavailable("gone");
      ClusterAccess access;
      access.token = fmt::format("token {}", count);
      return access;
    };
  }
};

TEST(AccessCache, ReadsAgainAfterAMinuteAndAfterARefusal) {
  Loads loads;
  AccessCache cache(loads.Loader());
  const SteadyTime start = SteadyTime::At(absl::Hours(1));
  const auto first = *cache.Current(start);
  EXPECT_EQ(first->token, "token 1");
  EXPECT_EQ((*cache.Current(start + absl::Seconds(59)))->token, "token 1");
  EXPECT_EQ((*cache.Current(start + absl::Seconds(60)))->token, "token 2");
  cache.Refused(first);  // an old one: that has been mended already
  EXPECT_EQ((*cache.Current(start + absl::Seconds(61)))->token, "token 2");
  cache.Refused(*cache.Current(start + absl::Seconds(61)));
  EXPECT_EQ((*cache.Current(start + absl::Seconds(61)))->token, "token 3");
}

TEST(AccessCache, KeepsTheLastGoodOne) {
  Loads loads;
  loads.fails = true;
  AccessCache cache(loads.Loader());
  const SteadyTime start = SteadyTime::At(absl::Hours(1));
  EXPECT_FALSE(cache.Current(start).ok());
  loads.fails = false;
  EXPECT_EQ((*cache.Current(start))->token, "token 2");
  loads.fails = true;
  EXPECT_EQ((*cache.Current(start + absl::Minutes(5)))->token, "token 2");
}

}  // namespace
}  // namespace salvor::kubernetes
