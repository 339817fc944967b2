// The kinds of objects that Velero is spoken to by, and those that are looked at for it.
#pragma once

#include "agent/kubernetes/client/kubernetes.h"

namespace salvor::velero {

inline kubernetes::ResourceType OfVelero(const char* plural) { return {"velero.io", "v1", plural}; }

inline kubernetes::ResourceType Backups() { return OfVelero("backups"); }
inline kubernetes::ResourceType StorageLocations() { return OfVelero("backupstoragelocations"); }
inline kubernetes::ResourceType ServerStatusRequests() { return OfVelero("serverstatusrequests"); }
inline kubernetes::ResourceType DownloadRequests() { return OfVelero("downloadrequests"); }
inline kubernetes::ResourceType DeleteRequests() { return OfVelero("deletebackuprequests"); }
inline kubernetes::ResourceType PodVolumeBackups() { return OfVelero("podvolumebackups"); }
inline kubernetes::ResourceType DataUploads() { return {"velero.io", "v2alpha1", "datauploads"}; }
inline kubernetes::ResourceType Restores() { return OfVelero("restores"); }
inline kubernetes::ResourceType PodVolumeRestores() { return OfVelero("podvolumerestores"); }
inline kubernetes::ResourceType DataDownloads() { return {"velero.io", "v2alpha1", "datadownloads"}; }

inline kubernetes::ResourceType Claims() { return {"", "v1", "persistentvolumeclaims"}; }
inline kubernetes::ResourceType Volumes() { return {"", "v1", "persistentvolumes", false}; }
inline kubernetes::ResourceType Pods() { return {"", "v1", "pods"}; }
inline kubernetes::ResourceType Namespaces() { return {"", "v1", "namespaces", false}; }
inline kubernetes::ResourceType ConfigMaps() { return {"", "v1", "configmaps"}; }
inline kubernetes::ResourceType Deployments() { return {"apps", "v1", "deployments"}; }
inline kubernetes::ResourceType Services() { return {"", "v1", "services"}; }
inline kubernetes::ResourceType ResourceQuotas() { return {"", "v1", "resourcequotas"}; }
inline kubernetes::ResourceType StorageClasses() { return {"storage.k8s.io", "v1", "storageclasses", false}; }
inline kubernetes::ResourceType StatefulSets() { return {"apps", "v1", "statefulsets"}; }
inline kubernetes::ResourceType DaemonSets() { return {"apps", "v1", "daemonsets"}; }
inline kubernetes::ResourceType CronJobs() { return {"batch", "v1", "cronjobs"}; }
// Asks whether one may do something; nothing is made, and every account may ask.
inline kubernetes::ResourceType AccessReviews() {
  return {"authorization.k8s.io", "v1", "selfsubjectaccessreviews", false};
}
inline kubernetes::ResourceType SnapshotClasses() {
  return {"snapshot.storage.k8s.io", "v1", "volumesnapshotclasses", false};
}
inline kubernetes::ResourceType ResourceDefinitions() {
  return {"apiextensions.k8s.io", "v1", "customresourcedefinitions", false};
}

inline kubernetes::ResourceType SnapshotContents() {
  return {"snapshot.storage.k8s.io", "v1", "volumesnapshotcontents", false};
}
inline kubernetes::ResourceType Accounts() { return {"", "v1", "serviceaccounts"}; }
inline kubernetes::ResourceType Quotas() { return {"", "v1", "resourcequotas"}; }
inline kubernetes::ResourceType Limits() { return {"", "v1", "limitranges"}; }
inline kubernetes::ResourceType NetworkPolicies() { return {"networking.k8s.io", "v1", "networkpolicies"}; }
inline kubernetes::ResourceType RoleBindings() { return {"rbac.authorization.k8s.io", "v1", "rolebindings"}; }

inline constexpr char kSnapshotDefinition[] = "volumesnapshots.snapshot.storage.k8s.io";

// Labels and annotations of Velero's.
inline constexpr char kBackupNameLabel[] = "velero.io/backup-name";
inline constexpr char kBackupUidLabel[] = "velero.io/backup-uid";
inline constexpr char kRestoreNameLabel[] = "velero.io/restore-name";
inline constexpr char kClaimUidLabel[] = "velero.io/pvc-uid";
inline constexpr char kExcludeLabel[] = "velero.io/exclude-from-backup";

// Ours, on each object that we make: by them it is known whose it is, also in another cluster that sees the same
// bucket.
inline constexpr char kRunLabel[] = "salvor.dev/run";
inline constexpr char kBackupLabel[] = "salvor.dev/backup";
inline constexpr char kApplicationLabel[] = "salvor.dev/application";
inline constexpr char kEnvironmentLabel[] = "salvor.dev/environment";
// Why an attempt gave this Backup up. Whatever becomes of it afterwards, it is nobody's.
inline constexpr char kGivenUpAnnotation[] = "salvor.dev/given-up";

}  // namespace salvor::velero
