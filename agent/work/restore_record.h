// The record that the agent itself keeps, on disk, of a restore it made: that it is writing to a place, then that it
// has finished. It tells a later attempt of the same run what it may clear, and what an attempt has finished whose
// agent died before it could say so.
//
// One file for each run and place, below the state directory's restores/. No two threads use the same one:
// the attempts of a step follow each other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/work/action.h"
#include "base/status.h"

namespace salvor::agent {

class RestoreRecord {
 public:
  // `place` is the component, or a part of it: any name that a file can have. InvalidArgument for others.
  static StatusOr<RestoreRecord> For(const AgentConfig& config, const std::string& run,
                                     const std::string& place);

  // The records of all restores, in no order.
  static StatusOr<std::vector<RestoreRecord>> All(const AgentConfig& config);

  StatusOr<std::string> Read() const;  // what was written last; "" when nothing was

  // The record is on disk when it returns. Also removes records that are older than any run can be (a month).
  Status Write(std::string_view text) const;

  const std::string& Path() const { return path_; }

 private:
  RestoreRecord(std::string directory, const std::string& name)
      : directory_(std::move(directory)), path_(directory_ + "/" + name) {}

  std::string directory_, path_;
};

}  // namespace salvor::agent
