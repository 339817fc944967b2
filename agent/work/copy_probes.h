// What only an engine can ask a restored copy: its own kinds of application checks, and how a command reaches it. The
// checks that any copy can be asked (HTTP, a command) are agent/probes.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/work/action.h"
#include "agent/work/check_list.h"
#include "base/status.h"

namespace salvor::agent {

// One copy, for the length of one action. Used by its thread alone.
class CopyProbes {
 public:
  virtual ~CopyProbes() = default;

  // Unavailable when what is there is no longer what was restored. Asked before the first check and after the last.
  virtual Status CheckStillLoaded() = 0;

  // Gives this check's verdict; false for a kind that is none of this engine's. An error is about the way there.
  virtual StatusOr<bool> Run(const v1::ApplicationCheck& check, CheckList& checks) = 0;

  // What of the copy was left empty on purpose, for people: it excuses a check that looks at it.
  virtual std::vector<std::string> LeftEmpty() const = 0;

  // The way by which programs of this host reach the copy: a folder with its socket, empty for the network; and the
  // file that its password is in, empty for none.
  virtual std::string SocketDirectory() const = 0;
  virtual std::string PasswordFile() const = 0;

  // The copy's address as the environment of a command, to whom these two are at other paths.
  virtual StatusOr<std::map<std::string, std::string>> EnvironmentOf(
      const v1::CommandCheck& check, const std::string& socket_directory,
      const std::string& password_file) const = 0;
};

// Null when the copy has nothing of this engine. Both must outlive the answer.
using CopyProbesFactory = StatusOr<std::unique_ptr<CopyProbes>> (*)(const v1::ApplicationChecks& action,
                                                                    ActionContext& context);

}  // namespace salvor::agent
