// The answers of runs that only look (RUN_KIND_INSPECT): kept for some days, for whoever asked to read them again. One
// thread at a time.
#pragma once

#include <absl/time/time.h>

#include <map>
#include <string>
#include <vector>

#include "salvor/v1/run.pb.h"

namespace salvor::controlplane {

class Answers {
 public:
  explicit Answers(absl::Duration kept_for) : kept_for_(kept_for) {}

  // A run that is over; one of another kind is kept for good.
  void Note(const v1::Run& run);

  // The runs whose answers nobody will read any more. They are forgotten here.
  std::vector<std::string> TakeExpired(absl::Time now);

 private:
  const absl::Duration kept_for_;
  std::multimap<absl::Time, std::string> expire_at_;
};

}  // namespace salvor::controlplane
