// The Job that does one attempt of a step. Pure.
//
// Its name says run, step and attempt, so that whoever tries to make it again finds it; its annotations say them in full,
// and what it does, so that nobody takes another's for it. The pod is the operator's: the template has the image, the
// service account, the Location's secrets and what a mover may use.
#pragma once

#include <absl/time/time.h>

#include <string>

#include "agent/kubernetes/velero/reading.h"
#include "base/status.h"
#include "salvor/v1/agent_service.pb.h"

namespace salvor::movers {

using kubernetes::Json;

inline constexpr char kContainer[] = "mover";            // of the template
inline constexpr char kJobLabel[] = "salvor.dev/mover";  // its Job's name, on pods
inline constexpr char kStepLabel[] =
    "salvor.dev/mover-step";  // a digest of run and step: all attempts have the same
inline constexpr char kTaskAnnotation[] = "salvor.dev/task";  // a digest of what it does

inline kubernetes::ResourceType Jobs() { return {"batch", "v1", "jobs"}; }
inline kubernetes::ResourceType PodTemplates() { return {"", "v1", "podtemplates"}; }

// "mover-db-dump-shop-0123456789abcdef".
std::string JobName(const v1::LeaseKey& lease);

// The value of kStepLabel.
std::string StepDigest(const v1::LeaseKey& lease);

// The task as one argument of a command line. InvalidArgument for one that is too large for that, or that would show a
// secret: an address of a repository with a password in it.
StatusOr<std::string> EncodeTask(const v1::Task& task);
StatusOr<v1::Task> DecodeTask(const std::string& text);

// `pod_template` is a PodTemplate as the server has it. FailedPrecondition where it has no container called "mover".
// `time_left` bounds the Job where nobody is left to end it.
StatusOr<Json> MakeJob(const Json& pod_template, const v1::Task& task, absl::Duration time_left);

// Whether the Job is that of this very attempt and does this very task.
bool IsOfTask(const Json& job, const v1::Task& task);

// The attempt that made it; 0 where it does not say.
int AttemptOf(const Json& job);

}  // namespace salvor::movers
