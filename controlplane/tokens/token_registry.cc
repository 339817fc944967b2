#include "controlplane/tokens/token_registry.h"

#include <algorithm>
#include <utility>

#include "base/io/files.h"
#include "base/io/log.h"
#include "base/io/sha256.h"
#include "base/names.h"
#include "base/text.h"
#include "proto/time.h"

namespace salvor::controlplane {
namespace {

constexpr size_t kSecretBytes = 32;

bool IsPattern(const std::string& agent) { return !agent.empty() && agent.back() == '*'; }

bool IsUser(const v1::Token& token) { return token.kind() == v1::TOKEN_KIND_USER; }

bool IsAdministrator(const v1::Token& token) {
  return IsUser(token) && token.token_class() == v1::TOKEN_CLASS_ADMINISTER && !token.has_revoked_at();
}

bool IsOfFile(const v1::Token& token) { return IsUser(token) && token.created_by() == kMadeBySalvord; }

std::string_view CommandFor(v1::TokenKind kind) {
  return kind == v1::TOKEN_KIND_AGENT ? "salvor agent-token" : "salvor token";
}

Status NoSuchToken(const std::string& name, v1::TokenKind kind) {
  return WithHint(NotFound("there is no token {}", name),
                  fmt::format("List them with: {} list", CommandFor(kind)));
}

Status OfAnotherKind(const v1::Token& token) {
  return WithHint(
      FailedPrecondition("the token {} is {}: nothing was revoked", token.name(),
                         IsUser(token) ? "a person's or a program's" : "an agent's"),
      fmt::format("If it is the one you mean: {} revoke {}", CommandFor(token.kind()), token.name()));
}

Status CheckWantedUser(const v1::Token& wanted) {
  if (!wanted.environment().empty() || !wanted.agent().empty())
    return InvalidArgument("a user's token is bound to no environment and no agent");
  if (wanted.token_class() >= v1::TOKEN_CLASS_VIEW && wanted.token_class() <= v1::TOKEN_CLASS_ADMINISTER)
    return OkStatus();
  return WithHint(InvalidArgument("the class of the token is missing"),
                  "Give one: view, operate, approve or administer.");
}

Status CheckWanted(const v1::Token& wanted) {
  RETURN_IF_ERROR_IN(CheckObjectName(wanted.name()), "name of the token");
  if (wanted.name() == kMadeBySalvord)
    return WithHint(InvalidArgument("no token is called {}", kMadeBySalvord), "Give it another name.");
  if (wanted.kind() == v1::TOKEN_KIND_USER) return CheckWantedUser(wanted);
  if (wanted.kind() != v1::TOKEN_KIND_AGENT)
    return InvalidArgument("a token is an agent's or a user's, and this one is neither");
  if (wanted.token_class() != v1::TOKEN_CLASS_UNSPECIFIED)
    return InvalidArgument("an agent's token is of no class");
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
    registry->Remember(record);
  }
  return registry;
}

StatusOr<TokenRegistry::Created> TokenRegistry::Create(const v1::Token& wanted, const std::string& by) {
  RETURN_IF_ERROR(CheckWanted(wanted));
  Created created;
  created.secret = (IsUser(wanted) ? kUserTokenPrefix : kAgentTokenPrefix) + ToHex(RandomBytes(kSecretBytes));
  created.token.set_name(wanted.name());
  created.token.set_kind(wanted.kind());
  created.token.set_environment(wanted.environment());
  created.token.set_agent(wanted.agent());
  created.token.set_token_class(wanted.token_class());
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
  if (IsTaken(wanted.name())) {
    return WithHint(AlreadyExists("there is a token {} already, whose record can't be read", wanted.name()),
                    "Give this one another name. The other lets nobody in.");
  }
  RETURN_IF_ERROR(CommitAndWait(store_, {PutToken{record}}));
  Remember(record);
  return created;
}

void TokenRegistry::Remember(const v1::TokenRecord& record) {
  names_[record.sha256()] = record.token().name();
  by_name_[record.token().name()] = record;
}

// A token that can't be read has only its name left: it may have been revoked, and must not come back as another.
bool TokenRegistry::IsTaken(const std::string& name) {
  if (by_name_.count(name) > 0) return true;
  const std::vector<DamagedRecord> damaged = store_.DamagedRecords();
  return std::any_of(damaged.begin(), damaged.end(),
                     [&](const DamagedRecord& each) { return each.kind == "token" && each.name == name; });
}

bool TokenRegistry::IsLastAdministrator(const v1::Token& token) {
  if (!IsAdministrator(token)) return false;
  return std::count_if(by_name_.begin(), by_name_.end(),
                       [](const auto& each) { return IsAdministrator(each.second.token()); }) == 1;
}

bool TokenRegistry::NeedsFileToken() {
  MutexLock lock(mutex_);
  const bool stands_in_file = std::any_of(by_name_.begin(), by_name_.end(), [](const auto& each) {
    return IsOfFile(each.second.token()) && !each.second.token().has_revoked_at();
  });
  return stands_in_file || !HasAdministrator();
}

bool TokenRegistry::HasAdministrator() const {
  return std::any_of(by_name_.begin(), by_name_.end(),
                     [](const auto& each) { return IsAdministrator(each.second.token()); });
}

// A record that can't be read has lost whose secret it was.
bool TokenRegistry::MayHaveBeenRevoked() const {
  const std::vector<DamagedRecord> damaged = store_.DamagedRecords();
  return std::any_of(damaged.begin(), damaged.end(),
                     [](const DamagedRecord& each) { return each.kind == "token"; });
}

Status TokenRegistry::AdoptFileToken(const std::string& secret) {
  v1::TokenRecord adopted;
  adopted.set_sha256(Sha256::Of(secret));
  MutexLock lock(mutex_);
  if (const auto known = names_.find(adopted.sha256()); known != names_.end()) {
    if (IsUser(by_name_.at(known->second).token())) return OkStatus();
    return WithHint(FailedPrecondition("it is the agent's token {}", known->second),
                    "Remove the file and start salvord again: it makes another.");
  }
  if (HasAdministrator() && MayHaveBeenRevoked()) {
    LogWarning(
        "the token in the state directory is not taken in: a token's record can't be read, and may say that it "
        "was revoked");
    return OkStatus();
  }
  const auto now = ToProto(clock_.Now());
  std::vector<v1::TokenRecord> records;
  for (const auto& [name, record] : by_name_) {
    if (!IsOfFile(record.token()) || record.token().has_revoked_at()) continue;
    v1::Token& replaced = *records.emplace_back(record).mutable_token();
    *replaced.mutable_revoked_at() = now;
    replaced.set_revoked_by(kMadeBySalvord);
  }
  std::string name = "root";
  for (int i = 2; IsTaken(name); ++i) name = fmt::format("root-{}", i);
  v1::Token& token = *adopted.mutable_token();
  token.set_name(name);
  token.set_kind(v1::TOKEN_KIND_USER);
  token.set_token_class(v1::TOKEN_CLASS_ADMINISTER);
  *token.mutable_created_at() = now;
  token.set_created_by(kMadeBySalvord);
  records.push_back(std::move(adopted));
  Batch batch;
  for (const v1::TokenRecord& record : records) batch.push_back(PutToken{record});
  RETURN_IF_ERROR(CommitAndWait(store_, std::move(batch)));
  for (const v1::TokenRecord& record : records) Remember(record);
  return OkStatus();
}

std::vector<v1::Token> TokenRegistry::List(v1::TokenKind kind) {
  MutexLock lock(mutex_);
  std::vector<v1::Token> tokens;
  for (const auto& [name, record] : by_name_) {
    if (kind == v1::TOKEN_KIND_UNSPECIFIED || kind == record.token().kind()) tokens.push_back(record.token());
  }
  return tokens;
}

StatusOr<v1::Token> TokenRegistry::Revoke(const std::string& name, const std::string& by,
                                          v1::TokenKind kind) {
  v1::Token revoked;
  {
    MutexLock lock(mutex_);
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) return NoSuchToken(name, kind);
    if (kind != v1::TOKEN_KIND_UNSPECIFIED && kind != found->second.token().kind())
      return OfAnotherKind(found->second.token());
    if (found->second.token().has_revoked_at()) return found->second.token();
    if (IsLastAdministrator(found->second.token())) {
      return WithHint(FailedPrecondition("the token {} is the last of class administer", name),
                      "Make another first, and keep it: salvor token create NAME --class administer");
    }
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
