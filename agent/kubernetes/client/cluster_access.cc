#include "agent/kubernetes/client/cluster_access.h"

#include <absl/strings/escaping.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/io/files.h"
#include "base/io/yaml/yaml_tree.h"
#include "base/text.h"

namespace salvor::kubernetes {
namespace {

constexpr char kTokenHint[] =
    "Use a kubeconfig that holds a service account's token or a client certificate: 'kubectl create token' makes one.";

const YamlNode* Find(const YamlNode* map, std::string_view key) {
  if (map == nullptr || map->kind != YamlNode::Kind::kMap) return nullptr;
  for (const auto& [name, value] : map->entries) {
    if (name->text == key && value->kind != YamlNode::Kind::kNull) return value;
  }
  return nullptr;
}

std::string TextOf(const YamlNode* map, std::string_view key) {
  const YamlNode* found = Find(map, key);
  return found != nullptr && found->kind == YamlNode::Kind::kScalar ? found->text : std::string();
}

// The `kind` called `name` in a list of {name: …, <kind>: {…}}.
StatusOr<const YamlNode*> Named(const YamlNode* root, const std::string& list, const std::string& kind,
                                const std::string& name) {
  const YamlNode* items = Find(root, list);
  if (items != nullptr) {
    for (const YamlNode* item : items->items) {
      if (TextOf(item, "name") == name && Find(item, kind) != nullptr) return Find(item, kind);
    }
  }
  return NotFound("the kubeconfig has no {} called '{}'", kind, name);
}

// The values of one section, which stand in it (NAME-data, in base64) or in a file (NAME).
class Section {
 public:
  Section(const YamlNode* node, const std::string& folder, const FileReader& read_file)
      : node_(node), folder_(folder), read_file_(read_file) {}

  StatusOr<std::string> File(const std::string& key) const {
    const std::string path = TextOf(node_, key);
    if (path.empty()) return std::string();
    ASSIGN_OR_RETURN_IN(std::string text, read_file_(path.front() == '/' ? path : folder_ + "/" + path),
                        fmt::format("{} of the kubeconfig", key));
    if (Trim(text).empty()) return InvalidArgument("{} of the kubeconfig names an empty file", key);
    return text;
  }

  StatusOr<std::string> DataOrFile(const std::string& key) const {
    const std::string data = TextOf(node_, key + "-data");
    if (data.empty()) return File(key);
    std::string bytes;
    if (!absl::Base64Unescape(data, &bytes)) {
      return InvalidArgument("{}-data of the kubeconfig is no base64", key);
    }
    if (Trim(bytes).empty()) return InvalidArgument("{}-data of the kubeconfig is empty", key);
    return bytes;
  }

  bool Has(std::string_view key) const { return Find(node_, key) != nullptr; }
  std::string Text(std::string_view key) const { return TextOf(node_, key); }

 private:
  const YamlNode* node_;
  const std::string& folder_;
  const FileReader& read_file_;
};

bool IsLoopback(std::string_view host) {
  return host == "localhost" || host == "127.0.0.1" || host == "[::1]";
}

Status CheckServer(const std::string& server) {
  if (server.find_first_of("@?#\\ \t\r\n") != std::string::npos) {  // not shown: a user part holds a password
    return InvalidArgument("the address of the API server holds more than a host, a port and a path");
  }
  constexpr std::string_view kPlain = "http://";
  if (server.starts_with("https://") && server.size() > 8) return OkStatus();
  if (!server.starts_with(kPlain))
    return InvalidArgument("'{}' is no address of an API server", CleanText(server));
  std::string_view host = std::string_view(server).substr(kPlain.size());
  host = host.substr(0, host.find('/'));
  if (host.empty()) return InvalidArgument("'{}' is no address of an API server", CleanText(server));
  host = host.substr(0, host.front() == '[' ? host.find(']') + 1 : host.find(':'));
  if (IsLoopback(host)) return OkStatus();
  return WithHint(FailedPrecondition("'{}' is not encrypted", CleanText(server)),
                  "Use https: over http, whoever listens learns the token.");
}

Status CheckToken(std::string_view token) {
  const bool is_clean = std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 127; });
  return is_clean ? OkStatus() : InvalidArgument("the token holds characters that no token has");
}

Status ReadCluster(const Section& cluster, ClusterAccess& access) {
  if (cluster.Text("insecure-skip-tls-verify") == "true") {
    return WithHint(
        FailedPrecondition("the kubeconfig says insecure-skip-tls-verify, which trusts any server"),
        "Put the cluster's certificate authority into certificate-authority-data instead.");
  }
  if (cluster.Has("tls-server-name")) {
    return WithHint(FailedPrecondition("the kubeconfig's tls-server-name is not supported"),
                    "Use an address of the API server that its certificate names.");
  }
  access.server = cluster.Text("server");
  while (access.server.ends_with('/')) access.server.pop_back();
  RETURN_IF_ERROR(CheckServer(access.server));
  access.proxy_url = cluster.Text("proxy-url");
  ASSIGN_OR_RETURN(access.ca_pem, cluster.DataOrFile("certificate-authority"));
  return OkStatus();
}

Status RefusePlugins(const Section& user) {
  for (const char* plugin : {"exec", "auth-provider"}) {
    if (!user.Has(plugin)) continue;
    return WithHint(FailedPrecondition(
                        "the kubeconfig's user has an {} plugin: Salvor runs no program to log in", plugin),
                    kTokenHint);
  }
  for (const char* key : {"username", "password"}) {
    if (user.Has(key)) return WithHint(FailedPrecondition("the kubeconfig's user has a {}", key), kTokenHint);
  }
  for (const char* key : {"as", "as-uid", "as-groups", "as-user-extra"}) {
    if (!user.Has(key)) continue;
    return WithHint(FailedPrecondition("the kubeconfig's user acts as somebody else ('{}')", key),
                    kTokenHint);
  }
  return OkStatus();
}

Status ReadUser(const Section& user, ClusterAccess& access) {
  RETURN_IF_ERROR(RefusePlugins(user));
  ASSIGN_OR_RETURN(access.client_certificate_pem, user.DataOrFile("client-certificate"));
  ASSIGN_OR_RETURN(access.client_key_pem, user.DataOrFile("client-key"));
  if (access.client_certificate_pem.empty() != access.client_key_pem.empty()) {
    return InvalidArgument("the kubeconfig's user has only one of client-certificate and client-key");
  }
  if (access.client_key_pem.find("ENCRYPTED") != std::string::npos) {  // in both of PEM's ways to say so
    return WithHint(FailedPrecondition("the client-key of the kubeconfig's user is encrypted"), kTokenHint);
  }
  ASSIGN_OR_RETURN(const std::string from_file, user.File("tokenFile"));  // wins over token, as in kubectl
  access.token = std::string(Trim(from_file.empty() ? user.Text("token") : from_file));
  return CheckToken(access.token);
}

}  // namespace

StatusOr<ClusterAccess> ParseKubeconfig(std::string_view text, const std::string& folder,
                                        const std::string& context, const FileReader& read_file) {
  const YamlTree tree = ParseYamlTree(text);
  if (!tree.errors.empty() || tree.documents.size() != 1) {  // no quotes of it: it holds secrets
    const int line = tree.errors.empty() ? 1 : tree.errors.front().at.line;
    return InvalidArgument("the kubeconfig is not one YAML document (line {})", line);
  }
  const YamlNode* root = tree.documents.front();
  const std::string name = context.empty() ? TextOf(root, "current-context") : context;
  if (name.empty()) {
    return WithHint(InvalidArgument("the kubeconfig has no current-context"),
                    "Set one: kubectl config use-context NAME.");
  }
  ASSIGN_OR_RETURN(const YamlNode* chosen, Named(root, "contexts", "context", name));
  ASSIGN_OR_RETURN(const YamlNode* cluster, Named(root, "clusters", "cluster", TextOf(chosen, "cluster")));
  ClusterAccess access;
  access.name_space = TextOf(chosen, "namespace");
  RETURN_IF_ERROR(ReadCluster(Section(cluster, folder, read_file), access));
  if (TextOf(chosen, "user").empty()) return access;
  ASSIGN_OR_RETURN(const YamlNode* user, Named(root, "users", "user", TextOf(chosen, "user")));
  RETURN_IF_ERROR(ReadUser(Section(user, folder, read_file), access));
  return access;
}

StatusOr<ClusterAccess> ParseInCluster(const std::string& host, const std::string& port,
                                       const std::string& folder, const FileReader& read_file) {
  if (host.empty() || port.empty()) {
    return WithHint(
        FailedPrecondition("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod"),
        "Outside of a cluster, name a kubeconfig.");
  }
  const bool is_v6 = host.find(':') != std::string::npos;
  ClusterAccess access;
  access.server = fmt::format("https://{}{}{}:{}", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
  ASSIGN_OR_RETURN_IN(const std::string token, read_file(folder + "/token"),
                      "the pod's service account token");
  access.token = std::string(Trim(token));
  if (access.token.empty()) return FailedPrecondition("the pod's service account token is empty");
  RETURN_IF_ERROR(CheckToken(access.token));
  ASSIGN_OR_RETURN_IN(access.ca_pem, read_file(folder + "/ca.crt"), "the cluster's certificate authority");
  if (Trim(access.ca_pem).empty()) {  // else any authority that the machine trusts would do
    return FailedPrecondition("the cluster's certificate authority is empty");
  }
  if (const auto name_space = read_file(folder + "/namespace"); name_space.ok()) {
    access.name_space = std::string(Trim(*name_space));
  }
  return access;
}

AccessLoader FromKubeconfig(const std::string& path, const std::string& context) {
  return [path, context]() -> StatusOr<ClusterAccess> {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    const size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash);
    ASSIGN_OR_RETURN_IN(ClusterAccess access, ParseKubeconfig(text, folder, context, ReadFile), path);
    return access;
  };
}

AccessLoader FromPod(const std::string& folder) {
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  return [folder, host = std::string(host == nullptr ? "" : host),
          port = std::string(port == nullptr ? "" : port)] {
    return ParseInCluster(host, port, folder, ReadFile);
  };
}

}  // namespace salvor::kubernetes
