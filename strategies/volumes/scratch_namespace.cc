#include "strategies/volumes/scratch_namespace.h"

#include <fmt/core.h>

namespace salvor::strategies {

std::string NameOfScratchNamespace(const std::string& name) { return "salvor-" + name; }

ScratchPlace ScratchNamespaceFor(const v1::VeleroRestore& restore, bool require_isolation) {
  ScratchPlace place;
  place.key = restore.namespace_();
  v1::ScratchNamespaceStart* start = place.start.mutable_scratch_namespace_start();
  if (restore.has_cluster()) *start->mutable_cluster() = restore.cluster();
  start->set_name(restore.target_namespace());
  start->set_run(restore.run());
  start->set_backup(restore.backup());
  start->set_application(restore.application());
  start->set_environment(restore.environment());
  start->set_require_isolation(require_isolation);
  v1::ScratchNamespaceStop* stop = place.stop.mutable_scratch_namespace_stop();
  if (restore.has_cluster()) *stop->mutable_cluster() = restore.cluster();
  stop->set_name(restore.target_namespace());
  stop->set_run(restore.run());
  stop->set_restore(restore.name());
  place.title = "scratch namespace for " + restore.namespace_();
  place.contents = fmt::format("namespace {}, which nothing gets into or out of", restore.target_namespace());
  for (const v1::Artifact& volume : restore.volumes()) place.bytes += volume.bytes();
  return place;
}

}  // namespace salvor::strategies
