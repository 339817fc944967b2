// Helpers that tests of stores share: changes that are quick to write, and a directory of the test's own.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>

#include "base/io/files.h"
#include "controlplane/store/contract/store.h"

namespace salvor::controlplane {

inline PutRun Begin(const std::string& name, const std::string& application = "shop") {
  v1::Flow flow;
  flow.add_steps()->set_id("a");
  PutRun put{{}, std::make_shared<v1::Flow>(std::move(flow))};
  put.header.set_name(name);
  put.header.set_application(application);
  return put;
}

inline AppendEvents Granted(const std::string& run, int64_t first, const std::string& agent = "agent-a") {
  AppendEvents append{run, first, {}};
  append.events.add_events()->mutable_step_granted()->set_agent(agent);
  return append;
}

inline FinishRun Finish(const std::string& name, v1::RunPhase phase,
                        const std::string& application = "shop") {
  FinishRun finish;
  finish.summary.mutable_header()->set_name(name);
  finish.summary.mutable_header()->set_application(application);
  finish.summary.set_phase(phase);
  return finish;
}

inline PutBackup BackupNamed(const std::string& name) {
  PutBackup put;
  put.backup.set_name(name);
  return put;
}

class StoreDirectory {
 public:
  StoreDirectory() : path_(testing::TempDir() + "storeXXXXXX") {
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
  }
  ~StoreDirectory() { EXPECT_TRUE(RemoveTree(path_).ok()); }
  StoreDirectory(const StoreDirectory&) = delete;
  StoreDirectory& operator=(const StoreDirectory&) = delete;
  const std::string& Path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace salvor::controlplane
