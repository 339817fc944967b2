#include "strategies/compose/restore_options.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "proto/extension.h"
#include "strategies/volumes/changes.h"

namespace salvor::strategies {
namespace {

// An answer has room for so many problems, however many there are.
constexpr size_t kMostProblemsShown = 15;
constexpr size_t kMostOfOneProblem = 300;

// As the field is named in the oneof that both messages have: "postgres", "extension"; "" where none is set.
template <typename Message>
std::string FieldOf(const Message& message) {
  const auto* field = Message::descriptor()->FindFieldByNumber(message.strategy_case());
  return field == nullptr ? "" : field->name();
}

std::string ShortName(const std::string& name) { return CleanText(Elide(name, 80)); }

class Resolver {
 public:
  Resolver(const StrategyRegistry& strategies, const v1::CreateRestoreRequest& asked,
           const v1::Manifest& manifest, const std::vector<std::string>& chosen)
      : strategies_(strategies), asked_(asked), manifest_(manifest) {
    for (const v1::Component& component : manifest.components()) {
      if (chosen.empty() || std::find(chosen.begin(), chosen.end(), component.name()) != chosen.end())
        restored_.push_back(&component);
    }
  }

  StatusOr<OptionsByComponent> Resolve() {
    const OptionsByComponent named(asked_.options().begin(), asked_.options().end());
    for (const auto& [name, options] : named) RefuseStranger(name);
    for (const auto& strategy : strategies_.all())
      AddAll("", strategy->ValidateCommonOptions(asked_, manifest_));
    AddAll("", ValidateChanges(asked_, manifest_));
    OptionsByComponent resolved;
    for (const v1::Component* component : restored_) {
      const auto own = named.find(component->name());
      v1::RestoreOptions options = Options(*component, own == named.end() ? nullptr : &own->second);
      if (options.strategy_case() != v1::RestoreOptions::STRATEGY_NOT_SET)
        resolved[component->name()] = std::move(options);
    }
    if (problems_.empty()) return resolved;
    return WithHint(InvalidArgument("{}", Text()), "Correct the options, then ask again.");
  }

 private:
  void Add(const std::string& place, const std::string& message) {
    problems_.push_back(
        Elide(fmt::format("{}{}{}", place, place.empty() ? "" : ": ", message), kMostOfOneProblem));
  }
  void AddAll(const std::string& prefix, const std::vector<FieldProblem>& found) {
    for (const FieldProblem& problem : found)
      Add(prefix + (prefix.empty() || problem.field.empty() ? "" : ".") + problem.field, problem.message);
  }
  static std::string PlaceOf(const std::string& component) { return "options." + ShortName(component); }

  // Options of a component that is not there, or that stays where it is, are a slip of whoever asks.
  void RefuseStranger(const std::string& name) {
    const auto is_it = [&name](const v1::Component& component) { return component.name() == name; };
    const auto is_restored = [&name](const v1::Component* component) { return component->name() == name; };
    if (std::any_of(restored_.begin(), restored_.end(), is_restored)) return;
    const auto& all = manifest_.components();
    if (std::any_of(all.begin(), all.end(), is_it))
      return Add(PlaceOf(name), "this component is not among those to restore");
    std::vector<std::string> names;
    for (const v1::Component& component : all) names.push_back(component.name());
    Add(PlaceOf(name), fmt::format("backup '{}' has no component '{}', it has {}", manifest_.backup(),
                                   ShortName(name), Join(names, ", ")));
  }

  // `own` is what the request has for it by name, if anything.
  v1::RestoreOptions Options(const v1::Component& component, const v1::RestoreOptions* own) {
    const Strategy* strategy = strategies_.Find(component);
    if (strategy == nullptr) return {};  // its restore is refused
    v1::RestoreOptions options = strategy->CommonOptions(asked_, component);
    if (own != nullptr) {
      if (!IsOfItsKind(component, *strategy, *own)) return {};
      options.MergeFrom(*own);
    }
    if (options.strategy_case() != v1::RestoreOptions::STRATEGY_NOT_SET)
      AddAll(PlaceOf(component.name()), strategy->ValidateOptions(component, options));
    return options;
  }

  bool IsOfItsKind(const v1::Component& component, const Strategy& strategy, const v1::RestoreOptions& own) {
    const std::string field = FieldOf(own), place = PlaceOf(component.name());
    if (field.empty()) {
      Add(place, "holds no options that this version knows");
    } else if (field != FieldOf(component)) {
      Add(place, fmt::format("these are options of kind {}, and component '{}' is of kind {}",
                             own.has_extension() ? ShortName(TypeOf(own.extension())) : field,
                             component.name(), strategy.Name()));
    } else if (own.has_extension() && Unpack(own.extension()) == nullptr) {
      Add(place + ".extension",
          fmt::format("this version cannot read a '{}'", ShortName(TypeOf(own.extension()))));
    } else {
      return true;
    }
    return false;
  }

  std::string Text() {
    const size_t count = problems_.size();
    if (count > kMostProblemsShown) {
      problems_.resize(kMostProblemsShown);
      problems_.push_back(fmt::format("and {} more problems", count - kMostProblemsShown));
    }
    return Join(problems_, "; ");
  }

  const StrategyRegistry& strategies_;
  const v1::CreateRestoreRequest& asked_;
  const v1::Manifest& manifest_;
  std::vector<const v1::Component*> restored_;
  std::vector<std::string> problems_;
};

}  // namespace

StatusOr<OptionsByComponent> ResolveRestoreOptions(const StrategyRegistry& strategies,
                                                   const v1::CreateRestoreRequest& asked,
                                                   const v1::Manifest& manifest,
                                                   const std::vector<std::string>& chosen) {
  return Resolver(strategies, asked, manifest, chosen).Resolve();
}

}  // namespace salvor::strategies
