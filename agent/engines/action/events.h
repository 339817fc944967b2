// What a driver's own program has told in its events, read line by line as they come. Everything that it may not
// say, or not so much of, ends the reading with an error that says which event it was. Pure.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/engines/action/contract.h"
#include "base/status.h"

namespace salvor::agent {

struct ToldCheck {
  std::string name, verdict, detail;
};

struct ToldError {
  std::string message, hint;
};

struct ToldProgress {
  int64_t bytes_done = 0, bytes_total = 0;
  std::string message;
};

class ActionEvents {
 public:
  // `clean` makes of every sentence for people one that may be shown: without secrets.
  ActionEvents(ActionVerb verb, std::function<std::string(std::string_view)> clean)
      : verb_(verb), clean_(std::move(clean)) {}

  // Bytes as they come; lines may be cut anywhere. After an error nothing more is read.
  Status Add(std::string_view bytes);

  // Asked when there are no more: OK when the program told all that it has to say. `done` must be the last event.
  Status Finish() const;

  // The newest progress that was not taken yet.
  std::optional<ToldProgress> TakeProgress() { return std::exchange(progress_, std::nullopt); }

  const std::vector<ActionArtifact>& artifacts() const { return artifacts_; }
  const ActionArtifact* FindArtifact(const std::string& name) const;  // null: it told of none
  const std::map<std::string, std::string>& expectations() const { return expectations_; }
  const std::map<std::string, std::string>& observations() const { return observations_; }
  const std::vector<ToldCheck>& checks() const { return checks_; }
  const std::vector<std::string>& warnings() const { return warnings_; }
  const std::vector<std::string>& conflicts() const { return conflicts_; }
  const std::optional<ToldError>& error() const { return error_; }

 private:
  struct Event;
  Status Line(std::string_view line);
  Status Take(const Event& event);
  Status TakeArtifact(const Event& event);
  Status TakeValue(const Event& event, std::map<std::string, std::string>* values);

  const ActionVerb verb_;
  const std::function<std::string(std::string_view)> clean_;
  std::string pending_;
  Status broken_ = OkStatus();
  size_t bytes_ = 0, events_ = 0;
  bool done_ = false;
  std::vector<ActionArtifact> artifacts_;
  std::map<std::string, std::string> expectations_, observations_;
  std::vector<ToldCheck> checks_;
  std::vector<std::string> warnings_, conflicts_;
  std::optional<ToldError> error_;
  std::optional<ToldProgress> progress_;
};

}  // namespace salvor::agent
