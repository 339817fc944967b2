// Waits for the end of one Backup or Restore of Velero's, and tells a person of it meanwhile. Velero goes on whether it is
// waited for or not, so an API server that is away or refuses everybody for a while does not end the wait.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/kubernetes/client/kubernetes.h"
#include "agent/kubernetes/velero/actions/cluster.h"
#include "agent/work/action.h"
#include "base/status.h"
#include "base/steady_time.h"
#include "salvor/v1/run.pb.h"

namespace salvor::velero {

// How the wait sees its object. Each is called on the thread that waits, while it waits.
struct ObjectEyes {
  // Reads the object as it is now; called with each change. True ends the wait: the object is over.
  std::function<bool(const Json& object)> see;
  // Says what the object does, as it was seen last.
  std::function<v1::Progress()> describe;
  // Looks at what a change of the object itself does not show, such as its transfers; called every `look_every` once the
  // object was seen. Answers a sentence where nothing moves, or where it cannot see.
  std::function<std::optional<std::string>()> look;
};

// Why a wait ended.
enum class WaitEnd {
  kOver,     // by what `see` said
  kGone,     // somebody removed the object
  kStopped,  // the attempt was asked to stop
  kLate,     // the attempt has no time left
};

// A person's sentence for a look that failed: an API server that is away must not look like a Velero that moves.
std::string CannotLook(const Status& why);

// Not thread-safe. Borrows the context, the options and the cluster, which outlive it.
class ObjectWait {
 public:
  // `what` names the object in the log: "Velero's backup".
  ObjectWait(std::string what, const agent::ActionContext& context, const VeleroOptions& options,
             kubernetes::Kubernetes& cluster);

  // Waits until the object is over, is gone, or can't be waited for any longer. A call that finds nobody is made again
  // until the attempt's end; one that is refused (401, 403, an answer that is none of an API server's) only for
  // `refusals_pass_within`, then the refusal is returned. All other errors are returned at once.
  StatusOr<WaitEnd> Until(const kubernetes::ObjectKey& key, const ObjectEyes& eyes);

  // The last thing that a person was told, as the end of a sentence: "; Velero says Finalizing". "" for nothing.
  std::string LastTold() const;

 private:
  void Log(const std::string& line) const;
  // That nothing moves is told until something does: whoever looks sees the last message alone.
  void Tell(const ObjectEyes& eyes);
  void Look(const ObjectEyes& eyes);
  bool MayPass(const Status& refusal);
  void Pause() const;

  const std::string what_;
  const agent::ActionContext& context_;
  const VeleroOptions& options_;
  kubernetes::Kubernetes& cluster_;
  std::optional<SteadyTime> refused_since_;
  std::string told_, stalled_;
};

}  // namespace salvor::velero
