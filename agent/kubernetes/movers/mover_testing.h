// A task for a mover, and the objects that one is made of. Tests only.
#pragma once

#include <string>

#include "agent/kubernetes/movers/mover_job.h"

namespace salvor::movers {

inline v1::Task ATask(int attempt = 1) {
  v1::Task task;
  task.mutable_lease()->set_run("backup-shop-1");
  task.mutable_lease()->set_step("db.dump.shop");
  task.mutable_lease()->set_attempt(attempt);
  task.mutable_lease()->set_epoch(attempt);
  v1::PostgresDump* dump = task.mutable_action()->mutable_postgres_dump();
  dump->set_database("shop");
  dump->mutable_target()->set_artifact("db.dump.shop");
  return task;
}

inline Json APodTemplate() {
  return Json::parse(R"({
    "apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "salvor-mover", "namespace": "salvor"},
    "template": {"metadata": {"labels": {"team": "storage"}},
                 "spec": {"serviceAccountName": "salvor-mover",
                          "containers": [{"name": "sidecar", "image": "other"},
                                         {"name": "mover", "image": "salvor", "args": ["--state-directory=/state"]}]}}})");
}

// The pod of a Job as it was stored.
inline Json APod(const Json& job, const std::string& name = "mover-x") {
  Json pod = {{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", job["spec"]["template"]["metadata"]}};
  pod["metadata"]["name"] = name;
  pod["metadata"]["ownerReferences"] = Json::array({{{"apiVersion", "batch/v1"},
                                                     {"kind", "Job"},
                                                     {"name", job["metadata"]["name"]},
                                                     {"uid", job["metadata"]["uid"]},
                                                     {"controller", true},
                                                     {"blockOwnerDeletion", true}}});
  pod["spec"] = job["spec"]["template"]["spec"];
  pod["status"]["phase"] = "Pending";
  return pod;
}

inline void SetRunning(Json& pod) {
  pod["status"] = Json::parse(
      R"({"phase": "Running", "containerStatuses": [{"name": "mover", "state": {"running": {}}}]})");
}

inline void SetEnded(Json& pod, int exit_code, const std::string& message) {
  Json ended = {
      {"exitCode", exit_code}, {"reason", exit_code == 0 ? "Completed" : "Error"}, {"message", message}};
  pod["status"] = {
      {"phase", exit_code == 0 ? "Succeeded" : "Failed"},
      {"containerStatuses", Json::array({{{"name", "mover"}, {"state", {{"terminated", ended}}}}})}};
}

}  // namespace salvor::movers
