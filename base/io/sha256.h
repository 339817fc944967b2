// SHA-256 in pieces. OpenSSL stays behind this header.
#pragma once

#include <memory>
#include <string>
#include <string_view>

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

}  // namespace salvor
