// The interface to what only an engine can ask a restored copy: its own kinds of application checks, and how a command
// reaches it. The checks that any copy can be asked (HTTP, a command) are agent/probes.
#pragma once

#include <map>
#include <memory>
#include <optional>
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

  // Names, for people, what of the copy was left empty on purpose: it excuses a check that looks at it.
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

// The place of a copy, as far as one engine knows.
struct CopyPlace {
  std::string scratch;     // name of a drill's scratch place; empty in a restore
  bool has_files = false;  // the action's paths are files of the copy
  std::string root = "/";  // what these lie below, in a restore
};

// The part that an engine adds to the checks of copies. An action has fields for copies of a kind; the engine alone
// reads its own.
struct CopyEngine {
  // Nothing when the copy has nothing of this engine. Pure.
  std::optional<CopyPlace> (*find)(const v1::ApplicationChecks& action) = nullptr;
  // Asked of such a copy alone; both must outlive the answer. Null for an engine that has no questions of its own.
  StatusOr<std::unique_ptr<CopyProbes>> (*open)(const v1::ApplicationChecks& action,
                                                ActionContext& context) = nullptr;
};

}  // namespace salvor::agent
