#include "strategies/compose/flow_text.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"
#include "proto/kind.h"
#include "proto/time.h"

namespace salvor::strategies {
namespace {

std::string ActionName(const v1::Action& action) {
  const std::string kind = KindOf(action);
  return kind.empty() ? "nothing" : kind;
}

std::string EdgesText(const v1::Step& step) {
  std::vector<std::string> edges;
  for (const v1::Edge& edge : step.after()) {
    const char* condition = edge.condition() == v1::Edge::CONDITION_FINISHED ? " finished" : "";
    edges.push_back(edge.step() + condition);
  }
  return Join(edges, ", ");
}

std::string KeysText(const v1::Step& step) {
  std::vector<std::string> keys;
  for (const v1::ConcurrencyKey& key : step.keys()) {
    std::string text = key.name() + (key.exclusive() ? " exclusive" : "");
    if (key.limit() > 0) text += fmt::format(" limit {}", key.limit());
    keys.push_back(text);
  }
  return Join(keys, ", ");
}

std::string RetryText(const v1::RetryPolicy& retry) {
  if (retry.attempts() <= 1) return "";
  return fmt::format("{} attempts, {} to {}", retry.attempts(), HumanDuration(FromProto(retry.initial())),
                     HumanDuration(FromProto(retry.cap())));
}

void AddPart(const std::string& word, const std::string& text, std::vector<std::string>* parts) {
  if (!text.empty()) parts->push_back(fmt::format("{} {}", word, text));
}

}  // namespace

std::string FlowText(const v1::Flow& flow) {
  size_t id_width = 0, action_width = 0;
  for (const v1::Step& step : flow.steps()) {
    id_width = std::max(id_width, step.id().size());
    action_width = std::max(action_width, ActionName(step.action()).size());
  }
  std::string text;
  for (const v1::Step& step : flow.steps()) {
    std::vector<std::string> parts;
    if (flow.places_size() > 1) AddPart("at", step.place(), &parts);
    AddPart("after", EdgesText(step), &parts);
    AddPart("key", KeysText(step), &parts);
    AddPart("inputs", Join({step.inputs().begin(), step.inputs().end()}, ", "), &parts);
    AddPart("retry", RetryText(step.retry()), &parts);
    if (step.has_attempt_timeout())
      AddPart("timeout", HumanDuration(FromProto(step.attempt_timeout())), &parts);
    text += fmt::format("{:<{}}  {:<{}}  \"{}\"{}{}\n", step.id(), id_width, ActionName(step.action()),
                        action_width, step.title(), parts.empty() ? "" : "  ", Join(parts, " · "));
  }
  for (const v1::Obligation& obligation : flow.obligations()) {
    text += fmt::format("obligation {}: opened by {}, released by {} once these are over: {}; deadline {}\n",
                        obligation.name(), obligation.opened_by(), obligation.released_by(),
                        Join({obligation.guards().begin(), obligation.guards().end()}, ", "),
                        HumanDuration(FromProto(obligation.deadline())));
  }
  return text;
}

std::string EffectsText(const std::vector<v1::PlannedEffect>& effects) {
  size_t width = 0;
  for (const v1::PlannedEffect& effect : effects) width = std::max(width, effect.subject().size());
  std::string text;
  for (const v1::PlannedEffect& effect : effects) {
    std::string line =
        fmt::format("{:<7} {:<{}}  {}", effect.verb(), effect.subject(), width, effect.detail());
    while (line.back() == ' ') line.pop_back();
    text += line + '\n';
  }
  return text;
}

}  // namespace salvor::strategies
