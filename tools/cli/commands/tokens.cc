#include "tools/cli/commands/tokens.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>

#include "base/io/files.h"
#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {
namespace {

// Finds now what would otherwise fail after the token was made, and lose it.
Status CheckOutputFile(const std::string& path) {
  if (::access(path.c_str(), F_OK) == 0) {
    return WithHint(AlreadyExists("{} exists, and is not overwritten", path),
                    "Name another file, or move that one away.");
  }
  const size_t end = path.rfind('/');
  const std::string folder = end == std::string::npos ? "." : end == 0 ? "/" : path.substr(0, end);
  return ::access(folder.c_str(), W_OK) == 0 ? OkStatus() : ErrnoStatus(errno, "write into " + folder);
}

}  // namespace

ExitCode MakeToken(Context& context, const v1::CreateTokenRequest& request, const std::string& output_file,
                   const std::string& where_it_goes) {
  const std::string what = "make the token " + request.name();
  if (!output_file.empty()) {
    if (const Status writable = CheckOutputFile(output_file); !writable.ok())
      return context.Fail(what, writable);
  }
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail(what, client.status());
  const StatusOr<v1::CreateTokenResponse> made = (*client)->Call(&ControlStub::CreateToken, request);
  if (!made.ok()) return context.Fail(what, made.status());
  const std::string name = CleanText(made->token().name());
  // A token that nobody has seen is of no use, and its name is taken.
  const auto give_up = [&](const Status& why) {
    v1::RevokeTokenRequest revoke;
    revoke.set_name(request.name());
    const bool revoked = (*client)->Call(&ControlStub::RevokeToken, revoke).ok();
    return context.Fail(
        what,
        WithHint(why, revoked ? "The token was revoked again. Make another, by another name."
                              : fmt::format("Revoke it: salvor {} revoke {}",
                                            request.kind() == v1::TOKEN_KIND_AGENT ? "agent-token" : "token",
                                            name)));
  };
  if (output_file.empty()) {
    context.out() << made->secret() << "\n" << std::flush;
    if (!context.out().good()) return give_up(Unavailable("the token could not be shown"));
    context.err() << "made " << name << "; the token is shown this once, and kept nowhere\n";
    return ExitCode::kOk;
  }
  if (const Status written = WriteFileAtomically(output_file, made->secret() + "\n", 0600); !written.ok())
    return give_up(written);
  context.out() << "made " << name << "\n";
  context.err() << "the token is in " << CleanText(output_file) << "; " << where_it_goes << "\n";
  return ExitCode::kOk;
}

ExitCode ListTokens(Context& context, const TokenList& list, const std::string& output) {
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail("list tokens", client.status());
  v1::ListTokensRequest request;
  request.set_kind(list.kind);
  const StatusOr<v1::ListTokensResponse> tokens = (*client)->Call(&ControlStub::ListTokens, request);
  if (!tokens.ok()) return context.Fail("list tokens", tokens.status());
  if (output == "json" || output == "yaml") return context.PrintList(tokens->tokens(), output);
  if (output == "name") {
    for (const v1::Token& token : tokens->tokens()) context.out() << CleanText(token.name()) << "\n";
    return ExitCode::kOk;
  }
  if (tokens->tokens().empty()) {
    context.err() << list.none << "\n";
    return ExitCode::kOk;
  }
  context.out() << list.render(*tokens, context.OutStyle(output == "wide"));
  return ExitCode::kOk;
}

ExitCode RevokeToken(Context& context, v1::TokenKind kind, const std::string& name) {
  const std::string what = "revoke the token " + name;
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail(what, client.status());
  v1::RevokeTokenRequest request;
  request.set_name(name);
  request.set_kind(kind);
  const StatusOr<v1::Token> revoked = (*client)->Call(&ControlStub::RevokeToken, request);
  if (!revoked.ok()) return context.Fail(what, revoked.status());
  context.out() << "revoked " << CleanText(revoked->name()) << "\n";
  return ExitCode::kOk;
}

}  // namespace salvor::cli
