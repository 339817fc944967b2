#include "tools/cli/render/graph.h"

#include <map>

#include "base/text.h"
#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {

std::vector<std::vector<int>> Waves(const google::protobuf::RepeatedPtrField<v1::StepStatus>& steps) {
  std::map<std::string, int> index;
  for (int i = 0; i < steps.size(); ++i) index.emplace(steps[i].id(), i);
  std::vector<int> missing(static_cast<size_t>(steps.size()), 0);
  std::vector<std::vector<int>> followers(static_cast<size_t>(steps.size()));
  for (int i = 0; i < steps.size(); ++i) {
    for (const v1::Edge& edge : steps[i].after()) {
      const auto before = index.find(edge.step());
      if (before == index.end()) continue;
      followers[static_cast<size_t>(before->second)].push_back(i);
      ++missing[static_cast<size_t>(i)];
    }
  }
  std::vector<std::vector<int>> waves;
  std::vector<bool> placed(static_cast<size_t>(steps.size()), false);
  int left = steps.size();
  while (left > 0) {
    std::vector<int> wave;
    for (int i = 0; i < steps.size(); ++i) {
      if (!placed[static_cast<size_t>(i)] && missing[static_cast<size_t>(i)] == 0) wave.push_back(i);
    }
    if (wave.empty()) {
      for (int i = 0; i < steps.size(); ++i) {
        if (!placed[static_cast<size_t>(i)]) wave.push_back(i);
      }
    }
    for (const int i : wave) {
      placed[static_cast<size_t>(i)] = true;
      --left;
      for (const int follower : followers[static_cast<size_t>(i)]) --missing[static_cast<size_t>(follower)];
    }
    waves.push_back(std::move(wave));
  }
  return waves;
}

std::string WaitsFor(const v1::StepStatus& step) {
  std::vector<std::string> parts;
  for (const v1::Edge& edge : step.after()) {
    std::string part = CleanText(edge.step());
    if (edge.condition() == v1::Edge::CONDITION_FINISHED) part += " (whatever becomes of it)";
    parts.push_back(part);
  }
  return parts.empty() ? "" : "after " + Join(parts, ", ");
}

v1::Run AsRun(const v1::Flow& flow) {
  v1::Run run;
  for (const v1::Step& step : flow.steps()) {
    v1::StepStatus* status = run.add_steps();
    status->set_id(step.id());
    status->set_component(step.component());
    status->set_title(step.title());
    *status->mutable_after() = step.after();
  }
  return run;
}

}  // namespace salvor::cli
