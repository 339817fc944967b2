#include "controlplane/tokens/token_registry.h"

#include <utility>

#include "base/io/files.h"
#include "base/io/sha256.h"
#include "base/names.h"
#include "base/text.h"
#include "proto/time.h"

namespace salvor::controlplane {
namespace {

constexpr size_t kSecretBytes = 32;

bool IsPattern(const std::string& agent) { return !agent.empty() && agent.back() == '*'; }

Status CheckWanted(const v1::Token& wanted) {
  RETURN_IF_ERROR_IN(CheckObjectName(wanted.name()), "name of the token");
  if (wanted.kind() != v1::TOKEN_KIND_AGENT) return InvalidArgument("only agents' tokens can be made");
  RETURN_IF_ERROR_IN(CheckObjectName(wanted.environment()), "environment");
  return WithHint(
      WithContext(CheckNameOrBeginning(wanted.agent()), "agent"),
      "Give the agent's name, or the beginning of several agents' names and a '*', as in 'node-*'.");
}

}  // namespace

Status CheckBinding(const v1::Token& token, const std::string& environment, const std::string& agent) {
  const std::string hint = fmt::format(
      "Start the agent with the --environment and --name that its token is for, or make a token for it: "
      "salvor agent-token create NAME --environment {} --agent {}",
      environment, agent);
  if (token.environment() != environment) {
    return WithHint(PermissionDenied("token {} is for environment {}, and the agent serves {}", token.name(),
                                     token.environment(), environment),
                    hint);
  }
  const std::string& bound = token.agent();
  const bool fits =
      IsPattern(bound) ? agent.rfind(bound.substr(0, bound.size() - 1), 0) == 0 : agent == bound;
  if (fits) return OkStatus();
  return WithHint(
      PermissionDenied("token {} is for {} {}, and this is {}", token.name(),
                       IsPattern(bound) ? "agents whose name is like" : "the agent", bound, agent),
      hint);
}

StatusOr<std::unique_ptr<TokenRegistry>> TokenRegistry::Load(Store& store, const Clock& clock) {
  std::unique_ptr<TokenRegistry> registry(new TokenRegistry(store, clock));
  ASSIGN_OR_RETURN(const std::vector<v1::TokenRecord> records, store.ListTokens());
  MutexLock lock(registry->mutex_);
  for (const v1::TokenRecord& record : records) {
    registry->names_[record.sha256()] = record.token().name();
    registry->by_name_[record.token().name()] = record;
  }
  return registry;
}

StatusOr<TokenRegistry::Created> TokenRegistry::Create(const v1::Token& wanted, const std::string& by) {
  RETURN_IF_ERROR(CheckWanted(wanted));
  Created created;
  created.secret = kAgentTokenPrefix + ToHex(RandomBytes(kSecretBytes));
  created.token.set_name(wanted.name());
  created.token.set_kind(wanted.kind());
  created.token.set_environment(wanted.environment());
  created.token.set_agent(wanted.agent());
  *created.token.mutable_created_at() = ToProto(clock_.Now());
  created.token.set_created_by(by);
  v1::TokenRecord record;
  *record.mutable_token() = created.token;
  record.set_sha256(Sha256::Of(created.secret));
  MutexLock lock(mutex_);
  if (const auto known = by_name_.find(wanted.name()); known != by_name_.end()) {
    return WithHint(
        AlreadyExists("there is a token {} already{}", wanted.name(),
                      known->second.token().has_revoked_at() ? ", which was revoked" : ""),
        "Give this one another name: a name stays with its token, so that logs keep their meaning.");
  }
  // A token that can't be read may have been revoked: its name, which alone is known, must not come back as another.
  for (const DamagedRecord& damaged : store_.DamagedRecords()) {
    if (damaged.kind != "token" || damaged.name != wanted.name()) continue;
    return WithHint(AlreadyExists("there is a token {} already, whose record can't be read", wanted.name()),
                    "Give this one another name. The other lets nobody in.");
  }
  RETURN_IF_ERROR(CommitAndWait(store_, {PutToken{record}}));
  names_[record.sha256()] = wanted.name();
  by_name_[wanted.name()] = std::move(record);
  return created;
}

std::vector<v1::Token> TokenRegistry::List(v1::TokenKind kind) {
  MutexLock lock(mutex_);
  std::vector<v1::Token> tokens;
  for (const auto& [name, record] : by_name_) {
    if (kind == v1::TOKEN_KIND_UNSPECIFIED || kind == record.token().kind()) tokens.push_back(record.token());
  }
  return tokens;
}

StatusOr<v1::Token> TokenRegistry::Revoke(const std::string& name, const std::string& by) {
  v1::Token revoked;
  {
    MutexLock lock(mutex_);
    const auto found = by_name_.find(name);
    if (found == by_name_.end())
      return WithHint(NotFound("there is no token {}", name), "List them with: salvor agent-token list");
    if (found->second.token().has_revoked_at()) return found->second.token();
    v1::TokenRecord record = found->second;
    *record.mutable_token()->mutable_revoked_at() = ToProto(clock_.Now());
    record.mutable_token()->set_revoked_by(by);
    RETURN_IF_ERROR(CommitAndWait(store_, {PutToken{record}}));
    found->second = std::move(record);
    revoked = found->second.token();
  }
  if (on_revoked_) on_revoked_(name);
  return revoked;
}

StatusOr<v1::Token> TokenRegistry::Recognise(std::string_view secret) {
  const std::string digest = Sha256::Of(secret);
  MutexLock lock(mutex_);
  const auto name = names_.find(digest);
  if (name == names_.end()) return Unauthenticated("the token was rejected");
  const v1::Token& token = by_name_.at(name->second).token();
  if (token.has_revoked_at()) return Unauthenticated("the token {} was revoked", token.name());
  return token;
}

bool TokenRegistry::IsRevoked(const std::string& name) {
  MutexLock lock(mutex_);
  const auto found = by_name_.find(name);
  return found == by_name_.end() || found->second.token().has_revoked_at();
}

}  // namespace salvor::controlplane
