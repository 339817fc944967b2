#include "base/io/grpc/token.h"

#include <openssl/crypto.h>

#include "base/io/files.h"
#include "base/text.h"

namespace salvor {

StatusOr<Token> Token::Load(const std::string& path, bool create) {
  auto secret = ReadSecretFile(path);
  if (secret.ok()) return Token(*std::move(secret));
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
