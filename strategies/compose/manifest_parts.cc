#include "strategies/compose/manifest_parts.h"

#include <fmt/core.h>

#include <utility>

#include "strategies/compose/sizes.h"
#include "strategies/interface/steps.h"

namespace salvor::strategies {
namespace {

constexpr int kQuickStepTimeout_s = 600;
// A part has more only where one component alone does.
constexpr size_t kMostPartBytes = 48 << 10;
constexpr size_t kBytesOfAHeader = 8;

class Parts {
 public:
  void Add(const v1::Component& component) { *Room(component.ByteSizeLong()).add_components() = component; }
  void Add(const v1::PlannedArtifact& planned) { *Room(planned.ByteSizeLong()).add_planned() = planned; }
  void Add(const std::string& warning) { Room(warning.size()).add_warnings(warning); }

  std::vector<v1::ManifestPart> Take() { return std::move(parts_); }

 private:
  v1::ManifestPart& Room(size_t bytes) {
    if (parts_.empty() || bytes_ + bytes > kMostPartBytes) {
      parts_.emplace_back();
      bytes_ = 0;
    }
    bytes_ += bytes + kBytesOfAHeader;
    return parts_.back();
  }

  std::vector<v1::ManifestPart> parts_;
  size_t bytes_ = 0;  // of the last one
};

}  // namespace

std::vector<v1::Step> SplitManifest(v1::Step* write) {
  if (write->action().ByteSizeLong() <= kMostActionBytes) return {};
  v1::ManifestWrite* action = write->mutable_action()->mutable_manifest_write();
  v1::Manifest* manifest = action->mutable_manifest();
  Parts parts;
  for (const v1::Component& component : manifest->components()) parts.Add(component);
  for (const v1::PlannedArtifact& planned : action->planned()) parts.Add(planned);
  for (const std::string& warning : manifest->warnings()) parts.Add(warning);
  manifest->clear_components();
  action->clear_planned();
  manifest->clear_warnings();

  const google::protobuf::RepeatedPtrField<v1::Edge> edges = write->after();
  std::vector<v1::Step> steps;
  for (v1::ManifestPart& part : parts.Take()) {
    const size_t number = steps.size() + 1;
    v1::Step step = MakeStep(fmt::format("manifest.part-{:03}", number), v1::PURPOSE_RECORD, "",
                             fmt::format("gather manifest, part {}", number));
    *step.mutable_action()->mutable_manifest_part() = std::move(part);
    for (const v1::Edge& edge : edges) {
      if (edge.condition() == v1::Edge::CONDITION_SUCCEEDED) After(&step, edge.step());
    }
    Retry(&step, 10, 2, 60);
    SetAttemptTimeout(&step, kQuickStepTimeout_s);
    After(write, step.id());
    write->add_inputs(step.id());
    steps.push_back(std::move(step));
  }
  return steps;
}

}  // namespace salvor::strategies
