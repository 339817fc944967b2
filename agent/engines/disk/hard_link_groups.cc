#include "agent/engines/disk/hard_link_groups.h"

#include <string_view>
#include <utility>

namespace salvor::agent {
namespace {

// Place, group and path, so that a group is a row of neighbours whose first has the least path. No path has zero bytes.
struct GroupKey {
  std::string_view group;  // with its place
  std::string_view path;
};

std::string KeyOf(uint64_t place, std::string_view group, std::string_view path) {
  std::string key;
  AppendBigEndian(&key, place);
  return key.append(group).append(1, '\0').append(path);
}

GroupKey Split(std::string_view key) {
  const size_t end = key.find('\0', sizeof(uint64_t));
  return {key.substr(0, end), key.substr(end + 1)};
}

uint64_t PlaceOf(std::string_view group) {
  uint64_t place = 0;
  for (size_t i = 0; i < sizeof place; ++i) place = place << 8 | static_cast<unsigned char>(group[i]);
  return place;
}

// The first path of each group, in a pass over the groups.
class Fellows {
 public:
  const std::string& Of(const GroupKey& key) {
    if (key.group != group_) {
      group_ = key.group;
      first_ = key.path;
    }
    return first_;
  }

 private:
  std::string group_, first_;
};

}  // namespace

Status FirstNames::Collect(const TreeSource& tree) {
  RETURN_IF_ERROR(tree.read_hard_links([this](const std::string& name) { return names_.Add(name, ""); }));
  RETURN_IF_ERROR(names_.Seal());
  cursor_ = names_.Read();
  ASSIGN_OR_RETURN(is_there_, cursor_->Next());
  return OkStatus();
}

StatusOr<bool> FirstNames::Has(const std::string& path) {
  while (is_there_ && cursor_->Key() < path) {
    ASSIGN_OR_RETURN(is_there_, cursor_->Next());
  }
  return is_there_ && cursor_->Key() == path;
}

Status HardLinkGroups::Add(size_t place, const v1::TreeEntry& before, const v1::TreeEntry& after) {
  const std::string& group_before = before.hard_link().empty() ? before.path() : before.hard_link();
  const std::string& group_after = after.hard_link().empty() ? after.path() : after.hard_link();
  return by_before_.Add(KeyOf(place, group_before, before.path()), group_after);
}

Status HardLinkGroups::Compare(const Difference& each) {
  RETURN_IF_ERROR(by_before_.Seal());
  std::unique_ptr<SpoolCursor> before = by_before_.Read();
  for (Fellows fellows;;) {
    ASSIGN_OR_RETURN(const bool more, before->Next());
    if (!more) break;
    const GroupKey key = Split(before->Key());
    RETURN_IF_ERROR(by_after_.Add(KeyOf(PlaceOf(key.group), before->Value(), key.path), fellows.Of(key)));
  }
  before.reset();
  by_before_.Drop();
  RETURN_IF_ERROR(by_after_.Seal());
  const std::unique_ptr<SpoolCursor> after = by_after_.Read();
  for (Fellows fellows;;) {
    ASSIGN_OR_RETURN(const bool more, after->Next());
    if (!more) break;
    const GroupKey key = Split(after->Key());
    const std::string& fellow_after = fellows.Of(key);
    if (after->Value() != fellow_after)
      each(PlaceOf(key.group), std::string(key.path), std::string(after->Value()), fellow_after);
  }
  return OkStatus();
}

}  // namespace salvor::agent
