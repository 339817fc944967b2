#include "base/redact.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/redact_scanner.h"
#include "base/text.h"

namespace salvor {
namespace {

constexpr size_t kLongestLine = 4096;

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool IsKeyCharacter(char c) { return IsLetter(c) || IsDigit(c) || c == '_' || c == '-' || c == '.'; }
bool IsTokenCharacter(char c) { return IsKeyCharacter(c) || c == '~' || c == '+' || c == '/' || c == '='; }

// Found anywhere in a key, in lower case and without '_', '-' and '.'.
constexpr std::array<std::string_view, 16> kSecretWords = {
    "password",  "passwd",        "passphrase", "passcode",   "secret",        "token",
    "accesskey", "accountkey",    "apikey",     "privatekey", "encryptionkey", "credential",
    "signature", "authorization", "cookie",     "sessionkey"};
constexpr std::array<std::string_view, 4> kSecretNames = {"pwd", "pass", "sig", "mysqlpwd"};
// A key that ends so names a place or a rule, not the secret.
constexpr std::array<std::string_view, 6> kHarmlessEnds = {"file",       "path",   "directory",
                                                           "encryption", "policy", "type"};

enum class KeyKind { kPlain, kSecret, kHeader };

class SecretsScanner {
 public:
  explicit SecretsScanner(std::string_view text) : text_(text) {}

  std::string Run(size_t* looked_at) {
    while (!text_.AtEnd()) Step();
    if (looked_at != nullptr) *looked_at += text_.LookedAt();
    return text_.TakeOutput();
  }

 private:
  static constexpr std::string_view kScram = "SCRAM-SHA-256$", kPrivateKey = "PRIVATE KEY-----",
                                    kBearer = "bearer ", kIdentifiedBy = "identified by ",
                                    kInvalidPort = "invalid port \"";
  static constexpr size_t kMd5Length = 35;

  // One step, at the start of a word or of something between words.
  void Step() {
    const size_t at = text_.Position();
    const char first = text_.Ahead();
    if (!IsKeyCharacter(first)) {
      if (IsSpace(first)) in_url_ = false;
      if (text_.IsAt(at, "://")) return TakeAuthority();
      return text_.Keep(1);
    }
    if (text_.IsAt(at, kScram)) return text_.HideTo(EndOfWord(at));
    if (text_.IsAtInAnyCase(at, kBearer)) return TakeBearer();
    if (text_.IsAtInAnyCase(at, kIdentifiedBy)) {
      text_.Keep(kIdentifiedBy.size());
      return HideSqlText();
    }
    if (text_.IsAt(at, kInvalidPort)) {  // Go's words about "https://user:pass/word@host"
      text_.Keep(kInvalidPort.size());
      return text_.HideTo(EndOfQuoted(at + kInvalidPort.size(), '"') - 1);
    }
    if (begins_key_ && text_.IsAt(at, kPrivateKey)) {
      text_.Keep(kPrivateKey.size());
      return text_.HideTo(EndOfPrivateKey());
    }
    TakeWord();
  }

  void TakeWord() {
    const size_t begin = text_.Position();
    size_t end = begin;
    while (end < text_.Size() && IsKeyCharacter(text_.At(end))) ++end;
    if (IsMd5(begin)) return text_.HideTo(begin + kMd5Length);
    if (text_.IsAt(begin, "-----")) begins_key_ = text_.IsAt(begin + 5, "BEGIN");
    const KeyKind kind = KindOf(text_.Between(begin, end));
    text_.Count(kSecretWords.size() * (end - begin));
    const bool flag = text_.At(begin) == '-', in_path = begin > 0 && text_.At(begin - 1) == '/';
    text_.KeepTo(end);
    if (kind != KeyKind::kPlain) TakeValue(kind, flag, in_path);
  }

  // "md5" and 32 hexadecimal digits, as PostgreSQL keeps them.
  bool IsMd5(size_t begin) {
    if (!text_.IsAt(begin, "md5")) return false;
    for (size_t i = begin + 3; i < begin + kMd5Length; ++i) {
      const char c = text_.At(i);
      if (!IsDigit(c) && (c < 'a' || c > 'f')) return false;
    }
    const char after = text_.At(begin + kMd5Length);
    return !IsLetter(after) && !IsDigit(after);
  }

  static KeyKind KindOf(std::string_view key) {
    std::string plain;
    for (const char c : key) {
      if (c != '_' && c != '-' && c != '.') plain += LowerAscii(c);
    }
    const auto ends = [&](std::string_view end) {
      return plain.size() >= end.size() && plain.compare(plain.size() - end.size(), end.size(), end) == 0;
    };
    const bool ends_sas = key.size() > 4 && ends("sas") && key[key.size() - 4] == '_';
    const auto has = [&](std::string_view word) { return plain.find(word) != std::string::npos; };
    if (key == "PWD" || key == "OLDPWD" || std::any_of(kHarmlessEnds.begin(), kHarmlessEnds.end(), ends) ||
        key.substr(0, 5) == "--no-") {
      return KeyKind::kPlain;
    }
    if (has("authorization") || has("cookie")) return KeyKind::kHeader;
    const bool secret = std::any_of(kSecretWords.begin(), kSecretWords.end(), has) || plain == "sas" ||
                        ends_sas ||
                        std::find(kSecretNames.begin(), kSecretNames.end(), plain) != kSecretNames.end();
    return secret ? KeyKind::kSecret : KeyKind::kPlain;
  }

  // Takes what follows a key that sounds like a secret's, if it is a value of it. A colon behind a path is none:
  // "open /etc/salvor/password: no such file".
  void TakeValue(KeyKind kind, bool flag, bool in_path) {
    size_t next = text_.Position();
    while (text_.At(next) == '\\' && text_.At(next + 1) == '\\') ++next;
    if (text_.At(next) == '\\') ++next;
    if (text_.At(next) == '"' || text_.At(next) == '\'') ++next;  // the key's own
    size_t value = SkipSpaces(next);
    const bool spaced = value > next;
    if (text_.At(value) == ':' && in_path) return;
    if (text_.At(value) == '=' || text_.At(value) == ':') {
      while (text_.At(value) == '=' || text_.At(value) == ':' || text_.At(value) == '>') ++value;
      text_.KeepTo(SkipSpaces(value));
      return HideValue(kind);
    }
    if (!spaced || next != text_.Position()) return;
    if (kind == KeyKind::kSecret && IsSqlText(value)) {
      text_.KeepTo(value);
      return HideSqlText();
    }
    if (flag && text_.At(value) != '-' && value < text_.Size()) {
      text_.KeepTo(value);
      HideValue(kind);
    }
  }

  size_t SkipSpaces(size_t at) {
    while (text_.At(at) == ' ' || text_.At(at) == '\t') ++at;
    return at;
  }

  void HideValue(KeyKind kind) {
    const size_t at = text_.Position();
    const char first = text_.Ahead();
    if (first == '{' || first == '[') return text_.HideTo(EndOfBrackets(at));
    if (kind == KeyKind::kHeader && first != '"' && first != '\'' && first != '\\') {
      return text_.HideTo(EndOfHeader(at));
    }
    text_.HideTo(EndOfWord(at));
  }

  // The end of a value as a shell, JSON or a connection string has it: quoted, or up to a space. Punctuation at its end
  // is not its own, nor is a quote that closes what surrounds the pair.
  size_t EndOfWord(size_t at) {
    const size_t begin = at;
    const char first = text_.At(at);
    if (first == '"' || first == '\'') return EndOfQuoted(at + 1, first);
    if (first == '\\' && IsQuote(text_.At(at + 1))) return EndOfEscapedQuoted(at + 2, text_.At(at + 1));
    for (; at < text_.Size(); ++at) {
      const char c = text_.At(at);
      if (IsSpace(c) || (in_url_ && c == '&')) break;
      if (IsQuote(c) && EndsPair(at + 1)) break;
      if (c == '\\' && IsQuote(text_.At(at + 1)) && EndsPair(at + 2)) break;
    }
    while (at > begin + 1 && IsPunctuation(text_.At(at - 1))) --at;
    return at;
  }

  bool EndsPair(size_t at) {
    const char c = text_.At(at);
    return at >= text_.Size() || IsSpace(c) || IsPunctuation(c) || c == ':';
  }

  static bool IsQuote(char c) { return c == '"' || c == '\''; }
  static bool IsPunctuation(char c) { return c == ',' || c == ';' || c == ')' || c == '}' || c == ']'; }

  // The end lies behind the closing quote; a doubled one and one behind a backslash do not close.
  size_t EndOfQuoted(size_t at, char quote) {
    while (at < text_.Size()) {
      const char c = text_.At(at);
      const bool doubled = c == quote && text_.At(at + 1) == quote;
      if (c == quote && !doubled) return at + 1;
      at += c == '\\' || doubled ? 2 : 1;
    }
    return text_.Size();
  }

  // JSON inside of JSON: \"…\".
  size_t EndOfEscapedQuoted(size_t at, char quote) {
    for (; at < text_.Size(); ++at) {
      if (text_.At(at) == '\\' && text_.At(at + 1) == quote) return at + 2;
    }
    return at;
  }

  size_t EndOfBrackets(size_t at) {
    int depth = 0;
    while (at < text_.Size()) {
      const char c = text_.At(at);
      if (c == '"') {
        at = EndOfQuoted(at + 1, c);
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      ++at;
      if (depth == 0) return at;
    }
    return at;
  }

  size_t EndOfHeader(size_t at) {
    while (at < text_.Size() && text_.At(at) != '\n' && text_.At(at) != '"' && text_.At(at) != '\'') ++at;
    return at;
  }

  // 'x', E'x', U&'x' or $tag$x$tag$.
  bool IsSqlText(size_t at) {
    const char c = text_.At(at);
    if (c == '$') {
      while (IsLetter(text_.At(at + 1)) || IsDigit(text_.At(at + 1)) || text_.At(at + 1) == '_') ++at;
      return text_.At(at + 1) == '$';
    }
    return c == '\'' || ((c == 'E' || c == 'e') && text_.At(at + 1) == '\'') ||
           text_.IsAtInAnyCase(at, "u&'");
  }

  void HideSqlText() {
    size_t at = text_.Position();
    if (!IsSqlText(at)) return;
    if (text_.Ahead() == '$') {
      // The end tag is not looked for: everything that follows is hidden with it.
      while (at < text_.Size() && text_.At(at) != ';' && text_.At(at) != '\n') ++at;
      return text_.HideTo(at);
    }
    while (text_.At(at) != '\'') ++at;
    text_.KeepTo(at + 1);
    const size_t end = EndOfQuoted(at + 1, '\'');
    const bool closed = end > at + 1 && text_.At(end - 1) == '\'';
    text_.HideTo(closed ? end - 1 : end);
    text_.KeepTo(end);
  }

  // "Bearer" and something that is no word of a language.
  void TakeBearer() {
    text_.Keep(kBearer.size());
    size_t end = text_.Position();
    bool digit = false;
    for (; end < text_.Size() && IsTokenCharacter(text_.At(end)); ++end)
      digit = digit || IsDigit(text_.At(end));
    if (digit || end - text_.Position() >= 20) text_.HideTo(end);
  }

  size_t EndOfPrivateKey() {
    size_t at = text_.Position();
    while (at < text_.Size() && !text_.IsAt(at, "-----END")) ++at;
    return at;
  }

  // "://" and what may be "user:password@".
  void TakeAuthority() {
    text_.Keep(3);
    in_url_ = true;
    const size_t begin = text_.Position();
    size_t colon = 0, at_sign = 0, end = begin, late_at_sign = 0;
    bool in_authority = true, port = true, in_list = false;
    for (; end < text_.Size(); ++end) {
      const char c = text_.At(end);
      if (IsSpace(c) || IsQuote(c) || text_.IsAt(end, "://")) break;
      if (c == '/' || c == '?' || c == '#') in_authority = false;
      if (c == '@') (in_authority ? at_sign : late_at_sign) = end;
      if (!in_authority) continue;
      if (c == ':' && colon == 0) {
        colon = end;
      } else if (c == ',' && port) {
        in_list = true;  // of hosts
      } else if (colon != 0 && !in_list && !IsDigit(c)) {
        port = false;
      }
    }
    if (colon != 0 && at_sign > colon) {
      text_.KeepTo(colon + 1);
      text_.HideTo(at_sign);
    } else if (colon != 0 && at_sign == 0 && !port && text_.At(begin) != '[') {
      // No port: a password with a slash in it, or one that was cut off.
      text_.KeepTo(colon + 1);
      text_.HideTo(late_at_sign > colon ? late_at_sign : end);
    }
  }

  RedactScanner text_;
  bool in_url_ = false;      // since the last space
  bool begins_key_ = false;  // the last "-----" came before BEGIN
};

}  // namespace

std::string WithoutSecrets(std::string_view text, size_t* bytes_looked_at) {
  return SecretsScanner(text).Run(bytes_looked_at);
}

std::string RedactText(std::string_view text, size_t* bytes_looked_at) {
  std::string redacted = WithoutSecrets(WithoutRows(text, bytes_looked_at), bytes_looked_at);
  for (char& c : redacted) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t' && c != '\n') || byte == 0x7f) c = '?';
  }
  return redacted;
}

std::string Redact(std::string_view line) {
  std::string redacted = RedactText(line);
  std::replace(redacted.begin(), redacted.end(), '\n', '?');
  return Elide(redacted, kLongestLine);
}

std::string ReportableText(std::string_view text, size_t most) {
  return Elide(RedactText(ValidUtf8(text)), most);
}

}  // namespace salvor
