// A text that is read once from left to right by hand. Part of redact.h; not for others.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace salvor {

inline char LowerAscii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Counts what it reads. Past the end it reads NUL.
class RedactScanner {
 public:
  explicit RedactScanner(std::string_view text) : text_(text) { output_.reserve(text.size()); }

  bool AtEnd() const { return position_ >= text_.size(); }
  size_t Position() const { return position_; }
  size_t Size() const { return text_.size(); }
  size_t LookedAt() const { return looked_at_; }
  void Count(size_t more) { looked_at_ += more; }  // looks at what Between gave
  std::string TakeOutput() { return std::move(output_); }
  std::string_view Between(size_t begin, size_t end) const { return text_.substr(begin, end - begin); }

  char At(size_t index) {
    ++looked_at_;
    return index < text_.size() ? text_[index] : '\0';
  }
  char Ahead(size_t offset = 0) { return At(position_ + offset); }

  bool IsAt(size_t index, std::string_view word) {
    for (size_t i = 0; i < word.size(); ++i) {
      if (index + i >= text_.size() || At(index + i) != word[i]) return false;
    }
    return true;
  }
  // `word` is in lower case.
  bool IsAtInAnyCase(size_t index, std::string_view word) {
    for (size_t i = 0; i < word.size(); ++i) {
      if (index + i >= text_.size() || LowerAscii(At(index + i)) != word[i]) return false;
    }
    return true;
  }

  void Keep(size_t count) {
    count = std::min(count, text_.size() - position_);
    looked_at_ += count;
    output_.append(text_.substr(position_, count));
    position_ += count;
  }
  void KeepTo(size_t end) { Keep(end - position_); }
  // "***" in place of everything up to `end`; nothing in place of nothing.
  void HideTo(size_t end) {
    if (end <= position_) return;
    output_ += "***";
    position_ = std::min(end, text_.size());
  }

 private:
  std::string_view text_;
  std::string output_;
  size_t position_ = 0;
  size_t looked_at_ = 0;
};

}  // namespace salvor
