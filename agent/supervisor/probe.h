// Tries to get out of where it runs, and says what it reached: run inside a drill's isolation, it is the
// evidence that there is one.
//
//   salvor-supervise --probe [--unix PATH] [--tcp ADDRESS:PORT] [--route ADDRESS] [--look PATH]
//                    [--write DIRECTORY] [--namespace KIND=LINK] …
//
// unix       connects to a listening socket; '@' at the start is an abstract one
// tcp        connects; IPv6 addresses stand in brackets
// route      asks for a way to an address; nothing is sent
// look       opens a file for reading, or finds an entry in a folder
// write      makes a file in a folder, and removes it
// namespace  KIND (mnt, pid, ipc, net) is not the one whose link (as in /proc/self/ns) is given
//
// One line of stdout for each thing that was reached, as people read it, and at the end "tried N". Connections
// are closed at once; nothing is written into them. Takes a second at most.
#pragma once

namespace salvor::supervisor {

// `arguments` are those after --probe. Answers with the exit code: 0, or 64 for arguments that it cannot read.
int RunProbe(int count, char** arguments);

}  // namespace salvor::supervisor
