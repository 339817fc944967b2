// The way by which the agent reaches a scratch server. The folder of its socket belongs to who runs the server, and what
// was restored may put anything there: a symlink to the socket of a server in use, say, which the agent, or a tool that
// it starts, would then write to. So the agent goes by a folder of its own, in which it keeps a second name (a hard
// link) of the socket that the server made. A socket has one listener for all its life: who was found to listen there is
// who every later session reaches, whatever becomes of the first name.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/status.h"

namespace salvor::agent {

// Gives the socket `name` in `from` the same name in `door`, a directory into which only we can write; what was there
// goes. NotFound while there is nothing of that name. PermissionDenied when it is no socket or not this user's: then
// `door` holds nothing of that name. No symlink is followed.
Status OpenSocketDoor(const std::string& from, const std::string& door, const std::string& name, uid_t owner);

// PermissionDenied unless the process that listens at the other end of this connected unix socket is of `user`, and one
// of `processes`.
Status CheckListener(int session_socket, uid_t user, const std::vector<int>& processes);

}  // namespace salvor::agent
