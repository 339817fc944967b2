#include "controlplane/tokens/file_token.h"

#include <algorithm>

#include "base/io/files.h"
#include "base/text.h"

namespace salvor::controlplane {

Status KeepFileToken(TokenRegistry& tokens, const std::string& path) {
  StatusOr<std::string> secret = ReadSecretFile(path);
  if (secret.status().code() == absl::StatusCode::kNotFound) {
    if (!tokens.NeedsFileToken()) return OkStatus();
    secret = kUserTokenPrefix + ToHex(RandomBytes(32));
    // The file comes first: a process that ends between the two finds it, and takes it in.
    RETURN_IF_ERROR(WriteFileAtomically(path, *secret + "\n", 0600));
  }
  RETURN_IF_ERROR(secret.status());
  const bool legal = !secret->empty() &&
                     std::all_of(secret->begin(), secret->end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!legal) {
    return WithHint(InvalidArgument("{} holds no token: it must be one word of printable ASCII", path),
                    "Remove the file and start salvord again: it makes another.");
  }
  return WithContext(tokens.AdoptFileToken(*secret), path);
}

}  // namespace salvor::controlplane
