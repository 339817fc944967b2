// The commands of all tokens, agents' and people's: made and shown once, or written where only its owner reads; listed;
// revoked.
#pragma once

#include <string>

#include "tools/cli/commands/command.h"

namespace salvor::cli {

// Shows the token's text on stdout, or writes it into a new file when one is named, and says then where it goes. One that
// nobody could see is revoked again.
ExitCode MakeToken(Context& context, const v1::CreateTokenRequest& request, const std::string& output_file,
                   const std::string& where_it_goes);

struct TokenList {
  v1::TokenKind kind = v1::TOKEN_KIND_UNSPECIFIED;
  std::string none;  // said where there are none
  std::string (*render)(const v1::ListTokensResponse& tokens, const Style& style) = nullptr;
};
ExitCode ListTokens(Context& context, const TokenList& list, const std::string& output);

// A token of another kind stays, and the hint has the command that revokes it.
ExitCode RevokeToken(Context& context, v1::TokenKind kind, const std::string& name);

}  // namespace salvor::cli
