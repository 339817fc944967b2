// The first few of what may be millions, and how many there are. Header-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace salvor::agent {

class NamedFew {
 public:
  explicit NamedFew(size_t most) : most_(most) {}

  void Add(std::string words) {
    ++total_;
    if (first_.size() < most_) first_.push_back(std::move(words));
  }
  int64_t Total() const { return total_; }
  const std::vector<std::string>& First() const { return first_; }

 private:
  size_t most_;
  int64_t total_ = 0;
  std::vector<std::string> first_;
};

}  // namespace salvor::agent
