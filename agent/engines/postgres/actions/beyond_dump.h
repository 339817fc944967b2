// The work of a restore beside loading a database's dump, since a dump does not say it.
//
// A dump names no version of an extension: its CREATE EXTENSION IF NOT EXISTS installs what is the server's default.
// Nor can an extension be made beforehand, for the dump makes the schema that it goes into. So an event trigger of
// ours is there while the dump is loaded, and makes each extension at its version at the moment at which the dump
// asks for it. Only a superuser may have an event trigger; without one the server's default it is.
//
// A new database has a schema "public". Where the original had dropped or renamed it, a dump does not say so, and
// it takes the grants that "public" was made with for granted under whatever name.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/engines/postgres/connection.h"
#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

// An extension of a backup, and what a server has of it.
struct ExtensionThere {
  std::string name, version;    // as the backup had it
  std::string default_version;  // empty: the server has no such extension
  bool has_version = false;     // the server can install it at `version`
};

// Those that the server would not install, or would install at another version by default.
StatusOr<std::vector<ExtensionThere>> ExtensionsThatDiffer(Connection& session,
                                                           const v1::DatabaseDetails& details);

// Restores of one database what its dump does not hold. Both calls take a session inside of it, that of its maker.
class BeyondDump {
 public:
  explicit BeyondDump(const v1::DatabaseDetails& details) : details_(details) {}  // borrowed

  // Comes before the dump is loaded into the new database. What the user may not do is left out.
  Status BeforeLoad(Connection& inside);

  // Afterwards, in one transaction: nothing of BeforeLoad stays. No event trigger of the application acts on it.
  // Answers with what did not become as it was, a sentence each.
  StatusOr<std::vector<std::string>> AfterLoad(Connection& inside);

 private:
  Status DropPublic(Connection& inside);
  Status WatchExtensions(Connection& inside);

  const v1::DatabaseDetails& details_;
  std::map<std::string, std::string> watched_;  // version by extension
};

}  // namespace salvor::agent
