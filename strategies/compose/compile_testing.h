// What tests of compiled flows share.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/status.h"
#include "strategies/compose/flow_text.h"

namespace salvor::strategies {

// Compares with strategies/compose/testdata/<name>.golden; SALVOR_UPDATE_GOLDEN=1 writes it anew.
inline void ExpectGolden(const std::string& name, const v1::Flow& flow,
                         const std::vector<v1::PlannedEffect>& effects) {
  const std::string path = "testdata/" + name + ".golden";
  const std::string text = FlowText(flow) + "\n" + EffectsText(effects);
  if (std::getenv("SALVOR_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ostringstream golden;
  golden << std::ifstream(path).rdbuf();
  EXPECT_EQ(text, golden.str()) << path;
}

inline std::string ErrorText(const Status& status) {
  return HintOf(status).empty() ? MessageOf(status) : MessageOf(status) + " | " + HintOf(status);
}

inline const v1::Step& StepOf(const v1::Flow& flow, const std::string& id) {
  for (const v1::Step& step : flow.steps()) {
    if (step.id() == id) return step;
  }
  ADD_FAILURE() << "no step " << id;
  return flow.steps(0);
}

}  // namespace salvor::strategies
