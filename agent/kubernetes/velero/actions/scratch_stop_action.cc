#include "agent/kubernetes/client/call.h"
#include "agent/kubernetes/client/wait.h"
#include "agent/kubernetes/velero/actions/own_pod.h"
#include "agent/kubernetes/velero/actions/velero_actions.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/restore_object.h"
#include "agent/kubernetes/velero/scratch_namespace.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

// An object that is to go, or that was told to.
struct Leaving {
  std::string name, uid;
};

// The reasons that the API server gives for a namespace that stays.
std::string WhyItStays(const Json& name_space) {
  std::vector<std::string> reasons;
  const Json& conditions = At(name_space, {"status", "conditions"});
  if (!conditions.is_array()) return "";
  for (const Json& condition : conditions) {
    if (TextAt(condition, {"status"}) == "True") reasons.push_back(CleanText(TextAt(condition, {"message"})));
  }
  return Join(reasons, "; ");
}

class ScratchRemover {
 public:
  ScratchRemover(const v1::ScratchNamespaceStop& action, agent::ActionContext& context,
                 const VeleroOptions& options, kubernetes::Kubernetes& cluster)
      : action_(action),
        context_(context),
        options_(options),
        cluster_(cluster),
        velero_(NamespaceOf(action.cluster())),
        scratch_(action.name()),
        call_{context.stop, context.deadline} {}

  // Velero's Restores go last: by their names all else is found again after a crash.
  StatusOr<v1::ActionResult> Run() {
    RETURN_IF_ERROR(FindNamespace());
    RETURN_IF_ERROR(EndRestores());
    RETURN_IF_ERROR(PrepareVolumes());
    RETURN_IF_ERROR(PrepareContents());
    RETURN_IF_ERROR(RemoveNamespace());
    RETURN_IF_ERROR(RemoveContents());
    RETURN_IF_ERROR(AwaitVolumes());
    RETURN_IF_ERROR(RemoveRestores());
    result_.set_note("namespace " + scratch_ + " is gone, with all that was restored into it");
    return std::move(result_);
  }

 private:
  void Tell(const std::string& message) {
    v1::Progress progress;
    progress.set_message(message);
    if (context_.progress) context_.progress(progress);
  }

  Status FindNamespace() {
    const auto there = cluster_.Get({Namespaces(), "", scratch_}, call_);
    if (kubernetes::IsNotFound(there.status())) return OkStatus();
    RETURN_IF_ERROR(there.status());
    if (!IsScratchOf(*there, action_.run())) {
      return WithHint(FailedPrecondition(
                          "namespace {} is not one that this drill made, so it is left as it is", scratch_),
                      "Look whose it is, and remove by hand what is the drill's: kubectl get namespace " +
                          scratch_ + " --show-labels");
    }
    name_space_ = *there;
    return OkStatus();
  }

  // One that goes on would make the namespace anew.
  Status EndRestores() {
    const std::string of = std::string(kRunLabel) + "=" + action_.run();
    ASSIGN_OR_RETURN(const std::vector<RestoreState> all,
                     ListAll(cluster_, Restores(), velero_, of, ReadRestore, call_));
    for (const RestoreState& restore : all) {
      bool into_it = false;
      for (const auto& [from, to] : restore.mapping) into_it = into_it || to == scratch_;
      if (!into_it) continue;
      restores_.push_back(restore.name);
      RETURN_IF_ERROR(End(restore));
    }
    return OkStatus();
  }

  Status End(const RestoreState& restore) {
    const kubernetes::ObjectKey key{Restores(), velero_, restore.name};
    if (IsOver(restore.stage) || restore.being_deleted) return OkStatus();
    if (restore.stage == RestoreStage::kWaiting) {
      const Status taken_back = cluster_.Delete(key, {restore.uid, restore.resource_version}, call_);
      if (taken_back.ok() || kubernetes::IsNotFound(taken_back)) return OkStatus();
      if (!kubernetes::IsConflict(taken_back)) return taken_back;
    }
    const auto is_over = [](const Json* object) -> StatusOr<bool> {
      return object == nullptr || IsOver(ReadRestore(*object).stage);
    };
    while (true) {
      Tell("waiting for Velero's restore " + restore.name + ", which can't be stopped");
      const auto over =
          kubernetes::WaitUntil(cluster_, key, is_over, CallWithin(context_, options_.look_every));
      if (over.ok()) return OkStatus();
      if (context_.stop.stop_requested()) return over.status();
      if (!IsPassing(over.status())) return over.status();
      if (SteadyNow() >= context_.deadline) break;
    }
    return WithHint(
        Unavailable("Velero still makes its restore {} into namespace {}, which has to wait for it",
                    restore.name, scratch_),
        fmt::format(
            "See what it waits for: velero -n {} restore describe {} --details. A transfer whose pod died ends "
            "when Velero, and then its node-agent, are restarted.",
            velero_, restore.name));
  }

  Status PrepareVolumes() {
    if (name_space_.is_null() && restores_.empty()) return OkStatus();
    ASSIGN_OR_RETURN(const std::vector<Json> volumes,
                     ListAll(
                         cluster_, Volumes(), "", "", [](const Json& item) { return item; }, call_));
    for (const Json& volume : volumes) {
      const Leaving one{TextAt(volume, {"metadata", "name"}), TextAt(volume, {"metadata", "uid"})};
      const VolumeFate fate = FateOf(volume, name_space_, restores_);
      if (fate == VolumeFate::kParked) parked_.push_back(one);
      if (fate == VolumeFate::kMustGo) {
        const Json go = {{"metadata", {{"resourceVersion", At(volume, {"metadata", "resourceVersion"})}}},
                         {"spec", {{"persistentVolumeReclaimPolicy", "Delete"}}}};
        RETURN_IF_ERROR(
            cluster_.Patch({Volumes(), "", one.name}, kubernetes::PatchKind::kMerge, go, {}, call_).status());
      }
      if (fate == VolumeFate::kGoes || fate == VolumeFate::kMustGo) volumes_.push_back(one);
      if (fate != VolumeFate::kNone || TextAt(volume, {"spec", "claimRef", "namespace"}) != scratch_)
        continue;
      // Once the namespace is gone it can't be told whose it was; one that goes by itself is waited for.
      if (name_space_.is_null() && TextAt(volume, {"spec", "persistentVolumeReclaimPolicy"}) == "Delete") {
        volumes_.push_back(one);
      } else {
        result_.add_warnings(fmt::format(
            "volume {} had a claim of the drill, which did not make it: it is left as it is", one.name));
      }
    }
    return OkStatus();
  }

  // Told to keep its snapshot before anything can delete it: the backup stands on that.
  Status PrepareContents() {
    if (restores_.empty()) return OkStatus();
    const auto contents = ListAll(
        cluster_, SnapshotContents(), "", kRestoreNameLabel, [](const Json& item) { return item; }, call_);
    if (kubernetes::IsNotFound(contents.status())) return OkStatus();  // a cluster without snapshots
    RETURN_IF_ERROR(contents.status());
    for (const Json& content : *contents) {
      if (!IsContentOf(content, scratch_, restores_)) continue;
      const Leaving one{TextAt(content, {"metadata", "name"}), TextAt(content, {"metadata", "uid"})};
      if (!KeepsItsSnapshot(content)) {
        const Json keep = {{"metadata", {{"resourceVersion", At(content, {"metadata", "resourceVersion"})}}},
                           {"spec", {{"deletionPolicy", "Retain"}}}};
        RETURN_IF_ERROR(
            cluster_.Patch({SnapshotContents(), "", one.name}, kubernetes::PatchKind::kMerge, keep, {}, call_)
                .status());
      }
      contents_.push_back(one);
    }
    return OkStatus();
  }

  Status RemoveNamespace() {
    if (name_space_.is_null()) return OkStatus();
    const std::string uid = TextAt(name_space_, {"metadata", "uid"});
    Tell("removing namespace " + scratch_);
    const Status asked = cluster_.Delete({Namespaces(), "", scratch_}, {uid}, call_);
    if (kubernetes::IsNotFound(asked)) return OkStatus();
    // Asked before, it has taken our rights inside with it, and goes on.
    const bool is_going = !TextAt(name_space_, {"metadata", "deletionTimestamp"}).empty();
    if (kubernetes::IsForbidden(asked) && !is_going) return BindAgain(asked);
    if (!asked.ok() && !is_going) return asked;
    return AwaitNamespace(uid);
  }

  // Looked at now and then: to watch it would take a right to watch all namespaces.
  Status AwaitNamespace(const std::string& uid) {
    std::string why;
    while (SteadyNow() < context_.deadline) {
      const auto there =
          cluster_.Get({Namespaces(), "", scratch_}, CallWithin(context_, options_.answer_within));
      if (kubernetes::IsNotFound(there.status())) return OkStatus();
      if (!there.ok() && !IsPassing(there.status())) return there.status();
      if (there.ok() && TextAt(*there, {"metadata", "uid"}) != uid) return OkStatus();
      if (there.ok()) why = WhyItStays(*there);
      if (!why.empty()) Tell("namespace " + scratch_ + " is not gone yet: " + why);
      const Status paused = kubernetes::Pause({context_.stop, context_.deadline}, options_.look_every,
                                              "the namespace to be gone");
      if (context_.stop.stop_requested()) return paused;
    }
    return WithHint(
        Unavailable("namespace {} is being deleted and not gone yet{}", scratch_,
                    why.empty() ? "" : ": " + why),
        "It is tried again. What keeps it is most often a finalizer whose controller does not run: kubectl get "
        "namespace " +
            scratch_ + " -o yaml");
  }

  // An attempt that was killed between the namespace and the binding left us without a right to it.
  Status BindAgain(const Status& forbidden) {
    ASSIGN_OR_RETURN(const OwnPod own, FindOwnPod(cluster_, options_, call_));
    if (own.service_account.empty()) return forbidden;
    const Status bound =
        cluster_.Create(RoleBindings(), scratch_, MakeScratchBinding(scratch_, own), {}, call_).status();
    if (!bound.ok() && !kubernetes::IsAlreadyExists(bound)) return bound;
    return Unavailable("the right to remove namespace {} was only now made: {}", scratch_,
                       MessageOf(forbidden));
  }

  Status RemoveContents() {
    for (const Leaving& one : contents_) {
      const Status removed = cluster_.Delete({SnapshotContents(), "", one.name}, {one.uid}, call_);
      if (!removed.ok() && !kubernetes::IsNotFound(removed)) return removed;
      RETURN_IF_ERROR(
          kubernetes::WaitUntilGone(cluster_, {SnapshotContents(), "", one.name}, one.uid, call_));
    }
    for (const Leaving& one : parked_) {
      const Status removed = cluster_.Delete({Volumes(), "", one.name}, {one.uid}, call_);
      if (!removed.ok() && !kubernetes::IsNotFound(removed)) return removed;
    }
    return OkStatus();
  }

  Status AwaitVolumes() {
    for (const Leaving& one : volumes_) {
      Tell("waiting for volume " + one.name + " to go");
      const Status gone = kubernetes::WaitUntilGone(cluster_, {Volumes(), "", one.name}, one.uid, call_);
      if (gone.ok()) continue;
      if (!IsPassing(gone)) return gone;
      return WithHint(Unavailable("volume {} of the drill is not gone yet", one.name),
                      "It is tried again. See: kubectl describe persistentvolume " + one.name);
    }
    return OkStatus();
  }

  Status RemoveRestores() {
    // An attempt that was killed may have left the rules of a Restore that it did not come to make.
    for (int number = 1; number <= kTriesAtMost && !action_.restore().empty(); ++number)
      RETURN_IF_ERROR(RemoveRules(NameOfTry(action_.restore(), number)));
    for (const std::string& restore : restores_) {
      // Velero removes what it wrote of it into its bucket, which may take longer than anybody waits.
      const Status removed = cluster_.Delete({Restores(), velero_, restore}, {}, call_);
      if (!removed.ok() && !kubernetes::IsNotFound(removed)) return removed;
    }
    return OkStatus();
  }

  Status RemoveRules(const std::string& name) {
    const kubernetes::ObjectKey key{ConfigMaps(), velero_, name};
    const auto rules = cluster_.Get(key, call_);
    if (kubernetes::IsNotFound(rules.status())) return OkStatus();
    RETURN_IF_ERROR(rules.status());
    if (TextAt(*rules, {"metadata", "labels", kRunLabel}) != action_.run()) return OkStatus();
    const Status removed = cluster_.Delete(key, {TextAt(*rules, {"metadata", "uid"})}, call_);
    return kubernetes::IsNotFound(removed) ? OkStatus() : removed;
  }

  const v1::ScratchNamespaceStop& action_;
  agent::ActionContext& context_;
  const VeleroOptions& options_;
  kubernetes::Kubernetes& cluster_;
  const std::string velero_, scratch_;
  const kubernetes::Call call_;
  v1::ActionResult result_;
  Json name_space_;  // null where it is not there
  std::vector<std::string> restores_;
  std::vector<Leaving> volumes_, parked_, contents_;
};

}  // namespace

StatusOr<v1::ActionResult> RunScratchNamespaceStop(const v1::ScratchNamespaceStop& action,
                                                   agent::ActionContext& context,
                                                   const VeleroOptions& options) {
  ASSIGN_OR_RETURN(const std::shared_ptr<kubernetes::Kubernetes> cluster, options.clusters(action.cluster()));
  return ScratchRemover(action, context, options, *cluster).Run();
}

}  // namespace salvor::velero
