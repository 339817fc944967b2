#include "base/io/grpc/token.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "base/io/files.h"
#include "base/text.h"

namespace salvor {

StatusOr<Token> Token::Load(const std::string& path, bool create) {
  auto secret = ReadSecretFile(path);
  if (secret.ok()) {
    // It travels in a header, and gRPC ends the process over one that holds anything else.
    const bool legal = !secret->empty() && std::all_of(secret->begin(), secret->end(),
                                                       [](char c) { return c > 0x20 && c < 0x7f; });
    if (legal) return Token(*std::move(secret));
    return WithHint(InvalidArgument("{} holds no token: it must be one word of printable ASCII", path),
                    "Copy the file that salvord wrote into its state directory, api.token or agent.token.");
  }
  if (!create || secret.status().code() != absl::StatusCode::kNotFound) return secret.status();
  std::string made = ToHex(RandomBytes(32));
  RETURN_IF_ERROR(WriteFileAtomically(path, made + "\n", 0600));
  return Token(std::move(made));
}

Status Token::Check(const grpc::ServerContextBase& context) const {
  const std::string wanted = "Bearer " + secret_;
  const auto& metadata = context.client_metadata();
  const auto given = metadata.find("authorization");
  const bool same = given != metadata.end() && given->second.size() == wanted.size() &&
                    CRYPTO_memcmp(given->second.data(), wanted.data(), wanted.size()) == 0;
  if (same) return OkStatus();
  return WithHint(Unauthenticated("{}", given == metadata.end() ? "the call came without a token"
                                                                : "the token was rejected"),
                  "Name the file that holds the token with --token-file or SALVOR_TOKEN_FILE.");
}

void Token::Attach(grpc::ClientContext& context) const {
  context.AddMetadata("authorization", "Bearer " + secret_);
}

}  // namespace salvor
