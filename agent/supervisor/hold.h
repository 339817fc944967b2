// Listens at a port and waits to be told to end: what a pod of a drill does that only has to be there.
//
//   salvor-supervise --hold PORT
//
// A connection is taken by the kernel and never answered; nothing is read or written.
#pragma once

namespace salvor::supervisor {

// `arguments` are those after --hold. Returns at SIGTERM or SIGINT, with 0; with 64 for arguments that it cannot
// read, 1 where it cannot listen.
int RunHold(int count, char** arguments);

}  // namespace salvor::supervisor
