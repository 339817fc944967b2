// How the agent reaches a scratch server. The folder of its socket belongs to who runs the server, and what was
// restored may put anything there: a symlink to the socket of a server in use, say, which the agent, or a pg_restore
// of its, would then write to. So the agent goes by a folder of its own, in which it keeps a second name (a hard link)
// of the socket that the server made. A socket has one listener for all its life: who was found to listen there is who
// every later session reaches, whatever becomes of the first name.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "agent/engines/postgres/connection.h"
#include "base/status.h"

namespace salvor::agent {

// Gives the socket `name` in `from` the same name in `door`, a directory into which only we can write; what was there
// goes. NotFound while there is nothing of that name. PermissionDenied when it is no socket or not this user's: then
// `door` holds nothing of that name. No symlink is followed.
Status OpenDoor(const std::string& from, const std::string& door, const std::string& name, uid_t owner);

// PermissionDenied unless who listens at the other end of this session is a process of `user`, and one of `processes`.
Status CheckPeer(const Connection& session, uid_t user, const std::vector<int>& processes);

}  // namespace salvor::agent
