#include "agent/engines/postgres/cluster_secret.h"

#include <fmt/format.h>

#include <vector>

#include "base/io/files.h"
#include "salvor/v1/object.pb.h"

namespace salvor::agent {
namespace {

constexpr char kPasswordKey[] = "password";

// A file that was put into a Secret ends with its last line's end; no role and no password does.
std::string WithoutLineEnd(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

StatusOr<std::string> ValueAt(const std::map<std::string, std::string>& values, const std::string& key,
                              const std::string& secret) {
  const auto found = values.find(key);
  const std::string value = found == values.end() ? "" : WithoutLineEnd(found->second);
  if (value.empty()) {
    return WithHint(
        FailedPrecondition("the Secret {} has {} key '{}'", secret,
                           found == values.end() ? "no" : "nothing at its", key),
        "Name the keys in the component's connection: secret: {name: …, userKey: …, passwordKey: …}.");
  }
  if (value.find_first_of(std::string_view("\n\r\0", 3)) != std::string::npos)
    return FailedPrecondition("what the Secret {} has at its key '{}' is more than one line", secret, key);
  return value;
}

// Whoever may declare a connection must not have a password sent to a server of their own: a Secret goes to a Service of the
// namespace that it is in, whose owner decides where that leads.
Status CheckDestination(const v1::PostgresConnection& connection) {
  const std::string below = "." + connection.secret().namespace_() + ".svc";
  const std::string& host = connection.host();
  const bool is_service = host.size() > below.size() && host.ends_with(below) &&
                          host.find_first_of("., ") == host.size() - below.size() &&
                          connection.socket_directory().empty();
  if (is_service) return OkStatus();
  return WithHint(
      FailedPrecondition(
          "the password in Secret {}/{} goes to a Service of that namespace alone, and {} is none",
          connection.secret().namespace_(), connection.secret().name(), host.empty() ? "this server" : host),
      "Name connection.service; for a server outside of the cluster make a Service of the type ExternalName.");
}

Status PutInPlace(const SecretReader& read, const std::string& folder, int* files,
                  v1::PostgresConnection* connection) {
  if (!connection->has_secret()) return OkStatus();
  RETURN_IF_ERROR(CheckDestination(*connection));
  const v1::ClusterSecret secret = connection->secret();
  ASSIGN_OR_RETURN(const auto values, read(secret.namespace_(), secret.name()));
  const std::string name = secret.namespace_() + "/" + secret.name();
  if (!secret.user_key().empty()) {
    ASSIGN_OR_RETURN(*connection->mutable_user(), ValueAt(values, secret.user_key(), name));
  }
  const std::string key = secret.password_key().empty() ? kPasswordKey : secret.password_key();
  ASSIGN_OR_RETURN(const std::string password, ValueAt(values, key, name));
  const std::string path = fmt::format("{}/passfile-{}", folder, ++*files);
  RETURN_IF_ERROR(WriteFileAtomically(path, PasswordLine(password), 0600));
  connection->set_passfile(path);
  connection->clear_secret();
  return OkStatus();
}

Status Walk(google::protobuf::Message& message, const SecretReader& read, const std::string& folder,
            int* files) {
  if (auto* connection = dynamic_cast<v1::PostgresConnection*>(&message); connection != nullptr)
    return PutInPlace(read, folder, files, connection);
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const auto* field : fields) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE || field->is_map()) continue;
    if (!field->is_repeated()) {
      RETURN_IF_ERROR(Walk(*reflection.MutableMessage(&message, field), read, folder, files));
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i)
      RETURN_IF_ERROR(Walk(*reflection.MutableRepeatedMessage(&message, field, i), read, folder, files));
  }
  return OkStatus();
}

}  // namespace

std::string PasswordLine(const std::string& password) {
  std::string line = "*:*:*:*:";
  for (const char letter : password) {
    if (letter == ':' || letter == '\\') line += '\\';
    line += letter;
  }
  return line + "\n";
}

Status PutSecretsInPlace(google::protobuf::Message& message, const SecretReader& read,
                         const std::string& folder) {
  int files = 0;
  return Walk(message, read, folder, &files);
}

}  // namespace salvor::agent
