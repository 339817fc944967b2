// The action contract as values: what is asked of a driver's own program, and what it may answer. docs/reference
// has it for who writes such a program, in words and as a JSON schema, to which a test holds these tables. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace salvor::agent {

inline constexpr int kActionContract = 1;  // the one version that there is

// Descriptors of the program, beside its three standard ones. Streams are numbered from kFirstStreamDescriptor on.
inline constexpr int kEventsDescriptor = 3, kProgramDescriptor = 4, kFirstStreamDescriptor = 5;

// Its exit codes. Any other is a failure.
inline constexpr int kExitDamaged = 65;    // what was kept is itself wrong
inline constexpr int kExitTemporary = 75;  // worth another try

inline constexpr size_t kMostArtifacts = 32, kMostStreams = 8;
inline constexpr size_t kMostExpectations = 1000;  // of observations, checks and warnings too
inline constexpr size_t kMostEvents = 20'000, kMostEventBytes = 4 << 20;

enum class ActionVerb { kPlan, kBackup, kRestore, kVerify };
std::string_view NameOf(ActionVerb verb);

// One field of an event.
struct EventField {
  enum Type { kText, kNumber };
  std::string name;
  Type type = kText;
  bool required = true;
  size_t longest = 0;               // text: bytes
  std::vector<std::string> one_of;  // text: any, when empty
};

// One kind of event, as `event` names it, and who may say it.
struct EventKind {
  std::string name;
  std::vector<ActionVerb> verbs;
  std::vector<EventField> fields;
};
const std::vector<EventKind>& EventKinds();

// An artifact that the program got or made.
struct ActionArtifact {
  std::string name;
  bool stream = false;
  std::string path;    // of a file: below the work folder
  int64_t bytes = -1;  // -1: it does not say
  std::string sha256;  // in hexadecimal, of what it said; else empty
};

// What a verb is asked to do. Written as one JSON object, which is all of the program's stdin.
struct ActionRequest {
  ActionVerb verb = ActionVerb::kPlan;
  std::string operation;  // "backup" or "restore": what the verb is a part of
  std::string run, component;
  int attempt = 1;
  bool drill = false;
  std::map<std::string, std::string> settings, secrets;
  std::string work;                       // folder, absolute
  std::map<std::string, int> streams;     // backup: the descriptor of each
  std::vector<ActionArtifact> artifacts;  // restore: what is there of the backup
  int64_t deadline_s = 0;
};
std::string ToJson(const ActionRequest& request);

// [a-z0-9][a-z0-9.-]*, at most 40 characters, and not "record", which is Salvor's own.
Status CheckArtifactName(std::string_view name);

// A relative path without "." and ".." and with no more than 200 bytes.
Status CheckWorkPath(std::string_view path);

}  // namespace salvor::agent
