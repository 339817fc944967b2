// The token in a file of the state directory, for whoever can read that file: root on the control plane's machine.
#pragma once

#include <string>

#include "base/status.h"
#include "controlplane/tokens/token_registry.h"

namespace salvor::controlplane {

// Takes the token of this file in as a named one of class administer, as every start does; what earlier versions wrote is
// taken in alike. Writes a new one when there is none and one is needed: at the first start; when the file was removed so
// that its token be replaced; when nobody else could make tokens.
Status KeepFileToken(TokenRegistry& tokens, const std::string& path);

}  // namespace salvor::controlplane
