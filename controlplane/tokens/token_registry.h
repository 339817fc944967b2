// Named tokens: made, listed, revoked, and recognised when somebody comes with one. The store keeps the SHA-256 of
// each; the token itself is shown once, to whoever had it made.
//
// Thread-safe. What is made or revoked is durable when the call returns.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/io/mutex.h"
#include "base/status.h"
#include "controlplane/store/contract/store.h"
#include "salvor/v1/token.pb.h"

namespace salvor::controlplane {

// Tokens begin with these, so that one which was published by mistake is found by those who look for such.
inline constexpr char kAgentTokenPrefix[] = "salvor_agent_";
inline constexpr char kUserTokenPrefix[] = "salvor_user_";

// The maker on record of tokens that nobody asked for: those that stand in a file of the state directory. No token is
// called so.
inline constexpr char kMadeBySalvord[] = "salvord";

// Whether an agent of this name in this environment may use the token. PermissionDenied names what it is bound to.
Status CheckBinding(const v1::Token& token, const std::string& environment, const std::string& agent);

class TokenRegistry {
 public:
  // `store` and `clock` must outlive it.
  static StatusOr<std::unique_ptr<TokenRegistry>> Load(Store& store, const Clock& clock);

  struct Created {
    v1::Token token;
    std::string secret;
  };
  // The name, the kind, and the class or what it is bound to count in `wanted`. InvalidArgument; AlreadyExists, also for
  // the name of a token that was revoked.
  StatusOr<Created> Create(const v1::Token& wanted, const std::string& by);

  // Tokens of this kind, or all when it is unspecified, by name; the revoked ones too.
  std::vector<v1::Token> List(v1::TokenKind kind);

  // Revoking again changes nothing. NotFound; FailedPrecondition for a token of another kind than `kind`, unless that is
  // unspecified, and for the last valid token of class administer, without which nobody could make another.
  StatusOr<v1::Token> Revoke(const std::string& name, const std::string& by,
                             v1::TokenKind kind = v1::TOKEN_KIND_UNSPECIFIED);

  // The valid token with this text. Found by its digest, so that how long it takes says nothing about any token.
  // Unauthenticated.
  StatusOr<v1::Token> Recognise(std::string_view secret);

  // Whether the file of the state directory should hold a token although there is none: the one that it held is valid
  // still, or nobody else could make one.
  bool NeedsFileToken();
  // Takes this token, which stands in that file, in as a named one of class administer ("root", or "root-2" …), unless it
  // is known. One that stood there before is revoked: it was replaced.
  Status AdoptFileToken(const std::string& secret);

  bool IsRevoked(const std::string& name);

  // Called after a token was revoked, on the thread that revoked it, outside of locks. Set once, before use.
  void OnRevoked(std::function<void(const std::string& name)> revoked) { on_revoked_ = std::move(revoked); }

 private:
  TokenRegistry(Store& store, const Clock& clock) : store_(store), clock_(clock) {}

  // Whether a token has, or had, this name; also one whose record can't be read.
  bool IsTaken(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasAdministrator() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayHaveBeenRevoked() const;
  bool IsLastAdministrator(const v1::Token& token) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Remember(const v1::TokenRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Store& store_;
  const Clock& clock_;
  std::function<void(const std::string&)> on_revoked_;
  Mutex mutex_;
  std::map<std::string, v1::TokenRecord> by_name_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> names_ ABSL_GUARDED_BY(mutex_);  // by digest
};

}  // namespace salvor::controlplane
