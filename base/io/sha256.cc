#include "base/io/sha256.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <vector>

namespace salvor {
namespace {

constexpr size_t kPieceBytes = size_t{256} << 10;

// OpenSSL fails here only when it has no SHA-256 at all or no memory: nothing could be promised then.
void Require(int result) {
  if (result != 1) std::abort();
}

}  // namespace

struct Sha256::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  Require(context_->evp != nullptr ? EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr) : 0);
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(std::string_view bytes) {
  Require(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()));
}

std::string Sha256::Finish() {
  std::string digest(32, '\0');
  unsigned int size = 0;
  Require(EVP_DigestFinal_ex(context_->evp, reinterpret_cast<unsigned char*>(digest.data()), &size));
  Require(EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr));
  return digest;
}

std::string Sha256::Of(std::string_view bytes) {
  Sha256 sha256;
  sha256.Update(bytes);
  return sha256.Finish();
}

StatusOr<std::string> Sha256OfFile(int file, int64_t begin, int64_t end) {
  Sha256 sha256;
  std::vector<char> piece(kPieceBytes);
  while (begin < end) {
    const size_t wanted = std::min(piece.size(), static_cast<size_t>(end - begin));
    const ssize_t count = ::pread(file, piece.data(), wanted, begin);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "read");
    if (count == 0) return DataLoss("it ends {} bytes too early", end - begin);
    sha256.Update({piece.data(), static_cast<size_t>(count)});
    begin += count;
  }
  return sha256.Finish();
}

}  // namespace salvor
