// SHA-256 in pieces. OpenSSL stays behind this header.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace salvor {

// Not thread-safe. May be used again after Finish.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(std::string_view bytes);
  std::string Finish();  // 32 bytes

  static std::string Of(std::string_view bytes);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// SHA-256, 32 bytes, of the bytes from `begin` to `end` of an open file, whose position stays where it is. DataLoss when it
// ends earlier.
StatusOr<std::string> Sha256OfFile(int file, int64_t begin, int64_t end);

}  // namespace salvor
