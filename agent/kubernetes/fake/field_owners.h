// Who set which field of one object: server-side apply, in a simpler form. Pure.
//
// Simpler than the real one: a list is one field, as a whole; a field has one owner, also where two managers agree on
// its value; managedFields are not shown.
#pragma once

#include <map>
#include <set>
#include <string>

#include "agent/kubernetes/client/kubernetes.h"

namespace salvor::kubernetes {

class FieldOwners {
 public:
  // Sets the fields of `applied` in `object`, and removes those that this manager applied before and no longer names.
  // The text of the conflicts, in the server's words, when another manager owns a field with another value and
  // `force` is false; then nothing has changed.
  std::string Apply(Json& object, const Json& applied, const std::string& manager, bool force);

  // A create or a patch: the manager owns what it changed.
  void NoteChange(const Json& before, const Json& after, const std::string& manager);

 private:
  std::map<std::string, std::string> owners_;             // JSON pointer to manager
  std::map<std::string, std::set<std::string>> applied_;  // manager to the fields that it applied last
};

}  // namespace salvor::kubernetes
