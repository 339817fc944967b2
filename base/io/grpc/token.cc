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
    return WithHint(
        InvalidArgument("{} holds no token: it must be one word of printable ASCII", path),
        "Copy the file that salvord wrote into its state directory, api.token or agent.token, or an "
        "agent's own that was made with: salvor agent-token create.");
  }
  if (!create || secret.status().code() != absl::StatusCode::kNotFound) return secret.status();
  std::string made = ToHex(RandomBytes(32));
  RETURN_IF_ERROR(WriteFileAtomically(path, made + "\n", 0600));
  return Token(std::move(made));
}

bool Token::Matches(std::string_view secret) const {
  return secret.size() == secret_.size() && CRYPTO_memcmp(secret.data(), secret_.data(), secret_.size()) == 0;
}

void Token::Attach(grpc::ClientContext& context) const {
  context.AddMetadata("authorization", "Bearer " + secret_);
}

std::optional<std::string> BearerOf(const grpc::ServerContextBase& context) {
  constexpr std::string_view kScheme = "Bearer ";
  const auto& metadata = context.client_metadata();
  const auto header = metadata.find("authorization");
  if (header == metadata.end()) return std::nullopt;
  const std::string text(header->second.data(), header->second.size());
  return text.rfind(kScheme, 0) == 0 ? text.substr(kScheme.size()) : std::string();
}

}  // namespace salvor
