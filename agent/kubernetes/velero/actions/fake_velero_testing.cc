#include "agent/kubernetes/velero/actions/fake_velero_testing.h"

#include <google/protobuf/io/gzip_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <gtest/gtest.h>

#include <cstring>

#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

constexpr char kWholeVolumes[] = R"([{"pvcName": "uploads", "pvcNamespace": "shop", "pvName": "pvc-uploads",
  "backupMethod": "PodVolumeBackup", "snapshotDataMoved": false, "skipped": false, "result": "succeeded",
  "pvbInfo": {"snapshotHandle": "8f1c", "size": 4096, "podName": "web-1", "podNamespace": "shop", "Phase": "Completed"}}])";

// The shared object of borrowed things that no pointer of the factory's may end.
std::shared_ptr<kubernetes::Kubernetes> Borrowed(kubernetes::Kubernetes& cluster) {
  return {std::shared_ptr<void>(), &cluster};
}

}  // namespace

std::string Gzip(const std::string& content) {
  std::string file;
  {
    google::protobuf::io::StringOutputStream target(&file);
    google::protobuf::io::GzipOutputStream stream(&target);
    size_t at = 0;
    void* piece = nullptr;
    int size = 0;
    while (at < content.size() && stream.Next(&piece, &size)) {
      const size_t taken = std::min(content.size() - at, static_cast<size_t>(size));
      std::memcpy(piece, content.data() + at, taken);
      at += taken;
      if (taken < static_cast<size_t>(size)) stream.BackUp(size - static_cast<int>(taken));
    }
    stream.Close();
  }
  return file;
}

FakeVelero::FakeVelero() {
  config_.name = "executor";
  task.mutable_lease()->set_attempt(1);
  records = {
      {"BackupVolumeInfos", kWholeVolumes},
      {"BackupResults", R"({"errors": {}, "warnings": {}})"},
      {"BackupResourceList", R"({"v1/PersistentVolumeClaim": ["shop/uploads"], "v1/Pod": ["shop/web-1"]})"},
      {"RestoreResults", R"({"errors": {}, "warnings": {}})"},
      {"RestoreVolumeInfo", "[]"},
      {"RestoreResourceList", R"json({"v1/PersistentVolumeClaim": ["shop-copy/uploads(created)"],
                                      "v1/Pod": ["shop-copy/web-1(created)"]})json"}};
  on_backup = [this](const std::string& name) { SetPhase(name, "Completed"); };
  on_restore = [this](const std::string& name) {
    BringBack(name);
    SetRestorePhase(name, "Completed");
  };
  on_delete = [this](const std::string& request, const std::string& backup) {
    EXPECT_TRUE(cluster_.Delete({Backups(), "velero", backup}, {}, {}).ok());
    EXPECT_TRUE(cluster_.Delete({DeleteRequests(), "velero", request}, {}, {}).ok());
  };
  AddCluster();
  AddShop();
  AnswerRequests();
}

void FakeVelero::AddCluster() {
  cluster_.Serve(Backups(), "Backup");
  cluster_.Serve(StorageLocations(), "BackupStorageLocation");
  cluster_.Serve(ServerStatusRequests(), "ServerStatusRequest");
  cluster_.Serve(DownloadRequests(), "DownloadRequest");
  cluster_.Serve(DeleteRequests(), "DeleteBackupRequest");
  cluster_.Serve(PodVolumeBackups(), "PodVolumeBackup");
  cluster_.Serve(DataUploads(), "DataUpload");
  cluster_.Serve(Restores(), "Restore");
  cluster_.Serve(PodVolumeRestores(), "PodVolumeRestore");
  cluster_.Serve(DataDownloads(), "DataDownload");
  cluster_.Serve(SnapshotClasses(), "VolumeSnapshotClass");
  Add(Namespaces(), "", {{"metadata", {{"name", "velero"}}}});
  Add(StorageLocations(), "velero",
      {{"metadata", {{"name", "main"}}},
       {"spec", {{"provider", "aws"}, {"default", true}, {"accessMode", "ReadWrite"}}},
       {"status", {{"phase", "Available"}}}});
  Add(Deployments(), "velero",
      {{"metadata", {{"name", "velero"}, {"labels", {{"component", "velero"}}}}},
       {"spec",
        {{"selector", {{"matchLabels", {{"deploy", "velero"}}}}},
         {"template",
          {{"spec",
            {{"containers", {{{"name", "velero"}, {"args", {"server", "--features=EnableCSI"}}}}}}}}}}}});
  Add(Pods(), "velero",
      {{"metadata", {{"name", "velero-1"}, {"labels", {{"deploy", "velero"}}}}},
       {"status", {{"phase", "Running"}, {"startTime", "2026-06-01T00:00:00Z"}}}});
  Add(Pods(), "velero",
      {{"metadata", {{"name", "node-agent-1"}, {"labels", {{"role", "node-agent"}}}}},
       {"spec", {{"nodeName", "node-1"}}},
       {"status", {{"phase", "Running"}}}});
  Add(ResourceDefinitions(), "", {{"metadata", {{"name", kSnapshotDefinition}}}});
  Add(SnapshotClasses(), "", {{"metadata", {{"name", "salvor-csi"}}}, {"driver", "csi.salvor.dev"}});
  Add(StorageClasses(), "", {{"metadata", {{"name", "salvor-csi"}}}, {"provisioner", "csi.salvor.dev"}});
}

void FakeVelero::AddShop() {
  Add(Namespaces(), "", {{"metadata", {{"name", "shop"}}}});
  Add(Claims(), "shop", ClaimObject("uploads"));
  Add(Volumes(), "", VolumeObject("uploads"));
  Add(Pods(), "shop", PodObject("web-1", "uploads"));
}

void FakeVelero::AnswerRequests() {
  const auto name_of = [](const Json& object) { return TextAt(object, {"metadata", "name"}); };
  // What a test puts there has a state already.
  cluster_.OnCreate(Backups(), [this, name_of](const Json& object) {
    if (!object.contains("status")) on_backup(name_of(object));
  });
  cluster_.OnCreate(Restores(), [this, name_of](const Json& object) {
    if (!object.contains("status")) on_restore(name_of(object));
  });
  cluster_.OnCreate(ServerStatusRequests(), [this, name_of](const Json& object) {
    if (!answers) return;
    EXPECT_TRUE(cluster_
                    .Change({ServerStatusRequests(), "velero", name_of(object)},
                            [](Json& request) {
                              request["status"] = {{"phase", "Processed"}, {"serverVersion", "v1.18.2"}};
                            })
                    .ok());
  });
  cluster_.OnCreate(DownloadRequests(), [this, name_of](const Json& object) {
    if (!answers) return;
    const std::string url = "signed:" + TextAt(object, {"spec", "target", "kind"});
    EXPECT_TRUE(cluster_
                    .Change({DownloadRequests(), "velero", name_of(object)},
                            [&](Json& request) {
                              request["status"] = {{"phase", "Processed"}, {"downloadURL", url}};
                            })
                    .ok());
  });
  cluster_.OnCreate(DeleteRequests(), [this, name_of](const Json& object) {
    if (on_delete && !object.contains("status"))
      on_delete(name_of(object), TextAt(object, {"spec", "backupName"}));
  });
}

VeleroOptions FakeVelero::Options() {
  VeleroOptions options;
  options.clusters = [this](const v1::KubernetesCluster&) { return Borrowed(cluster_); };
  options.download = [this](const std::string& url, const kubernetes::Call&) -> StatusOr<std::string> {
    const auto record = records.find(url.substr(url.find(':') + 1));
    if (record == records.end()) return NotFound("the storage location does not have it");
    return Gzip(record->second);
  };
  options.check_certificate = [this](const std::string& address, const kubernetes::Call&) {
    looked_at.push_back(address);
    return certificate;
  };
  options.now = [this] {
    if (on_now) on_now();
    return SteadyTime::At(elapsed);
  };
  options.observer = observer;
  options.own_pod = own_pod;
  options.look_every = absl::Milliseconds(2);
  options.answer_within = absl::Seconds(answers ? 600 : 0);
  return options;
}

agent::ActionContext FakeVelero::Context() {
  agent::ActionContext context{config_, tools_, task, stop.get_token(), SteadyTime::InfiniteFuture(),
                               nullptr, nullptr};
  context.progress = [this](const v1::Progress& told) {
    if (progress.empty() || progress.back() != told.message()) progress.push_back(told.message());
    // It may put another one in its place.
    if (const auto tell = on_progress) tell(told.message());
  };
  context.log = [this](std::string_view, std::string_view line) { log.emplace_back(line); };
  return context;
}

void FakeVelero::SetPhase(const std::string& backup, const std::string& phase, const Json& status) {
  SetPhaseOf({Backups(), "velero", backup}, phase, status);
}

void FakeVelero::SetRestorePhase(const std::string& restore, const std::string& phase, const Json& status) {
  SetPhaseOf({Restores(), "velero", restore}, phase, status);
}

void FakeVelero::SetPhaseOf(const kubernetes::ObjectKey& key, const std::string& phase, const Json& status) {
  EXPECT_TRUE(cluster_
                  .Change(key,
                          [&](Json& object) {
                            if (!object.contains("status")) object["status"] = Json::object();
                            object["status"].update(status);
                            object["status"]["phase"] = phase;
                          })
                  .ok());
}

void FakeVelero::BringBack(const std::string& restore, int64_t bytes) {
  const std::string target = TextAt(Get(Restores(), restore), {"spec", "namespaceMapping", "shop"});
  if (Get(Namespaces(), target, "").is_null()) Add(Namespaces(), "", {{"metadata", {{"name", target}}}});
  const Json labels = {{kRestoreNameLabel, restore}};
  Add(Claims(), target, {{"metadata", {{"name", "uploads"}, {"labels", labels}}}, {"spec", Json::object()}});
  const std::string uid = TextAt(Get(Claims(), "uploads", target), {"metadata", "uid"});
  Add(PodVolumeRestores(), "velero",
      {{"metadata",
        {{"name", restore + "-x7"}, {"labels", {{kRestoreNameLabel, restore}, {kClaimUidLabel, uid}}}}},
       {"spec",
        {{"pod", {{"namespace", target}, {"name", "web-1"}}},
         {"volume", "data"},
         {"snapshotID", "handle-uploads"}}},
       {"status", {{"phase", "Completed"}, {"progress", {{"bytesDone", bytes}, {"totalBytes", bytes}}}}}});
}

void FakeVelero::Add(const kubernetes::ResourceType& type, const std::string& name_space, Json object) {
  if (!name_space.empty()) object["metadata"]["namespace"] = name_space;
  object["apiVersion"] = type.ApiVersion();
  object["kind"] = cluster_.KindOf(type);
  object["metadata"].erase("uid");
  const auto made = cluster_.Create(type, name_space, object, {}, {});
  EXPECT_TRUE(made.ok()) << made.status();
}

Json FakeVelero::Get(const kubernetes::ResourceType& type, const std::string& name,
                     const std::string& name_space) {
  const auto object = cluster_.Get({type, name_space, name}, {});
  return object.ok() ? *object : Json();
}

std::vector<std::string> FakeVelero::Names(const kubernetes::ResourceType& type) {
  std::vector<std::string> names;
  const auto listed = cluster_.List(type, "velero", {},
                                    [&](const Json& object) {
                                      names.push_back(TextAt(object, {"metadata", "name"}));
                                      return OkStatus();
                                    },
                                    {});
  EXPECT_TRUE(listed.ok()) << listed.status();
  return names;
}

}  // namespace salvor::velero
