// What is alike for all tokens, agents' and people's: made and shown once, or written where only its owner reads; revoked.
#pragma once

#include <string>

#include "tools/cli/commands/command.h"

namespace salvor::cli {

// Shows the token's text on stdout, or writes it into a new file when one is named, and says then where it goes. One that
// nobody could see is revoked again.
ExitCode MakeToken(Context& context, const v1::CreateTokenRequest& request, const std::string& output_file,
                   const std::string& where_it_goes);

ExitCode RevokeToken(Context& context, const std::string& name);

}  // namespace salvor::cli
