// The parts that a restore left out, as its comparison sees them: what must be missing because of it, and what must not
// be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/work/check_list.h"
#include "salvor/v1/agent_service.pb.h"

namespace salvor::agent {

// The kind of a setting or grant of the database itself; its name is the statement as it was kept.
inline constexpr char kDatabaseSetting[] = "DATABASE SETTING";
// Stands in front of the kind of a thing that is there, and whose owner could not be set.
inline const std::string kOwnerOf = "OWNER OF ";

class NotBuiltThings {
 public:
  // Takes the things from the results that travel with the task.
  explicit NotBuiltThings(const v1::Task& task, const std::string& database);

  bool Empty() const { return things_.empty(); }

  // Each as a failed check of its own, by name.
  void Report(CheckList& checks) const;

  // Whether a line of the catalogue speaks of something that was left out, or is a part of it: a column of a table
  // that is not there. Lines are compared by the names in them. What cannot be attributed is not explained.
  bool Explains(const std::string& check, std::string_view line) const;

  bool ExplainsRows(const std::string& schema, const std::string& table) const;
  bool ExplainsSequence(const std::string& schema, const std::string& sequence) const;
  bool ExplainsLargeObjects() const;

 private:
  struct Thing {
    v1::NotBuilt what;
    std::vector<std::string> names;  // without quotes, any of which a line about it holds
  };

  bool Has(const std::vector<std::string_view>& kinds, const std::string& schema,
           const std::string& name) const;

  std::string database_;
  std::vector<Thing> things_;
  int64_t left_out_ = 0;
};

}  // namespace salvor::agent
