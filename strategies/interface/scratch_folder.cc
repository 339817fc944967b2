#include "strategies/interface/scratch_folder.h"

#include <fmt/core.h>

#include <algorithm>

#include "proto/scratch_engine.h"

namespace salvor::strategies {
namespace {

constexpr size_t kLongestName = 63;  // of an object, which a place's name is

void NameServer(const std::string& of, const std::string& key, ScratchPlace* place) {
  place->title = of.empty() ? "scratch server" : "scratch server of " + of;
  if (key.empty()) place->contents = place->title + (of.empty() ? " and folder" : ", and folder");
  if (!key.empty()) place->contents = place->title;
  place->is_server = true;
}

// The server that one of them wants, the newest version of it, and room for all.
void Join(const ScratchPlace& other, ScratchPlace* place) {
  const v1::ScratchStart& wanted = other.start.scratch_start();
  v1::ScratchStart* start = place->start.mutable_scratch_start();
  const int version = std::max(start->server_version_num(), wanted.server_version_num());
  start->MergeFrom(wanted);
  start->set_server_version_num(version);
  start->set_expected_bytes(place->bytes);
  if (!other.is_server) return;
  place->title = other.title;
  place->contents = other.contents;
  place->is_server = true;
}

// "" for the folder of the drill, else "mariadb", "postgres-2".
std::string KeyOf(const std::string& engine, int number) {
  if (number > 1) return fmt::format("{}-{}", engine, number);
  return engine == kOnlyEngineOf0_1 ? "" : engine;
}

// The run's own name tells its places from those of other runs, and most of all by its end.
std::string NameOf(const std::string& run, const std::string& key) {
  if (key.empty()) return run;
  const size_t room = kLongestName - 1 - key.size();
  std::string name = run.size() > room ? run.substr(run.size() - room) : run;
  name.erase(0, std::min(name.find_first_not_of('-'), name.size()));
  return name + "-" + key;
}

ScratchPlace PlaceOf(const RestoreRequest& request, const std::string& key, int64_t bytes) {
  ScratchPlace place;
  const std::string name = NameOf(request.run, key);
  v1::ScratchStart* start = place.start.mutable_scratch_start();
  start->set_name(name);
  start->set_require_isolation(request.require_isolation);
  start->set_expected_bytes(bytes);
  place.stop.mutable_scratch_stop()->set_name(name);
  place.key = key;
  place.title = place.contents = "scratch folder";
  place.bytes = bytes;
  place.join = Join;
  return place;
}

}  // namespace

ScratchPlace ScratchFolder(const RestoreRequest& request, int64_t bytes) {
  return PlaceOf(request, "", bytes);
}

ScratchPlace ScratchServer(const RestoreRequest& request, const std::string& engine, int number,
                           const std::string& of, int32_t version, int64_t bytes) {
  const std::string key = KeyOf(engine, number);
  ScratchPlace place = PlaceOf(request, key, bytes);
  v1::ScratchStart* start = place.start.mutable_scratch_start();
  AskForEngine(engine, start);
  start->set_server_version_num(version);
  NameServer(of, key, &place);
  return place;
}

std::string ScratchServerName(const RestoreRequest& request, const std::string& engine, int number) {
  return NameOf(request.run, KeyOf(engine, number));
}

}  // namespace salvor::strategies
