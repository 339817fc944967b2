#include "strategies/interface/scratch_folder.h"

#include <algorithm>

namespace salvor::strategies {
namespace {

// Every server that any of them wants, the newest version of it, and room for all.
void Join(const ScratchPlace& other, ScratchPlace* place) {
  const v1::ScratchStart& wanted = other.start.scratch_start();
  v1::ScratchStart* start = place->start.mutable_scratch_start();
  const int version = std::max(start->server_version_num(), wanted.server_version_num());
  start->MergeFrom(wanted);
  start->set_server_version_num(version);
  start->set_expected_bytes(place->bytes);
  if (other.is_server) NameServer(place);
}

}  // namespace

ScratchPlace ScratchFolder(const RestoreRequest& request, int64_t bytes) {
  ScratchPlace place;
  v1::ScratchStart* start = place.start.mutable_scratch_start();
  start->set_name(request.run);
  start->set_require_isolation(request.require_isolation);
  start->set_expected_bytes(bytes);
  place.stop.mutable_scratch_stop()->set_name(request.run);
  place.title = place.contents = "scratch folder";
  place.bytes = bytes;
  place.join = Join;
  return place;
}

void NameServer(ScratchPlace* place) {
  place->title = "scratch server";
  place->contents = "scratch server and folder";
  place->is_server = true;
}

}  // namespace salvor::strategies
