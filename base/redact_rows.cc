#include <string>
#include <string_view>

#include "base/redact.h"
#include "base/redact_scanner.h"

namespace salvor {
namespace {

// The fields that may follow a value that ends at a line's end, once lines were joined with "; ".
constexpr std::string_view kFields[] = {
    "CONTEXT:", "DETAIL:",   "HINT:", "STATEMENT:", "QUERY:",   "ERROR:", "FATAL:", "WARNING:",
    "NOTICE:",  "LOCATION:", "LINE ", "COPY ",      "Command ", "pg_",    "psql:"};

constexpr std::string_view kAfterKey[] = {" already exists",      " is not present in table",
                                          " is still referenced", " is duplicated",
                                          " conflicts with ",     " is not unique"};

constexpr std::string_view kAfterQuoted[] = {" is out of range", " is invalid", " not recognized",
                                             " (exit code ",     " (killed by", " (SQLSTATE"};

// A value is quoted at once after these.
constexpr std::string_view kBeforeQuoted[] = {"value \"",     "Token \"",           "but found \"",
                                              "time zone \"", "Escape sequence \"", "literal: \""};

// The rest of the line is a value after these.
constexpr std::string_view kBeforeRest[] = {"arameters: $1 = "};

// A value is quoted at the next `: "` of the same line after these.
constexpr std::string_view kBeforeColonAndQuoted[] = {"invalid input syntax for",
                                                      "invalid input value for",
                                                      "malformed ",
                                                      "out of range",
                                                      "invalid hexadecimal",
                                                      "invalid symbol",
                                                      "invalid base64",
                                                      "invalid value for",
                                                      "invalid end sequence",
                                                      "invalid XML",
                                                      "invalid cidr value",
                                                      "invalid character"};

class RowsScanner {
 public:
  explicit RowsScanner(std::string_view text) : text_(text) {}

  std::string Run(size_t* looked_at) {
    while (!text_.AtEnd()) Step();
    if (looked_at != nullptr) *looked_at += text_.LookedAt();
    return text_.TakeOutput();
  }

 private:
  static constexpr std::string_view kRow = "ailing row contains (", kKey = "ey (", kLine = ", line ",
                                    kColonQuote = ": \"", kJsonLine = "JSON data, line ";

  void Step() {
    const size_t at = text_.Position();
    const char next = text_.Ahead();
    if (next == '\n' || text_.IsAt(at, "; ")) {
      copy_ = copy_line_ = value_follows_ = key_ = false;
      return text_.Keep(1);
    }
    if (text_.IsAt(at, kRow)) return HideAfter(kRow.size(), EndOfRow(at + kRow.size()));
    if (text_.IsAt(at, kKey)) key_ = true;
    if (key_ && text_.IsAt(at, ")=(")) return HideAfter(3, EndOfKey(at + 3));
    if (text_.IsAt(at, "COPY ")) copy_ = true;
    if ((copy_ && text_.IsAt(at, kLine)) || text_.IsAt(at, kJsonLine)) return TakeLineNumber(at);
    if ((copy_line_ || value_follows_) && text_.IsAt(at, kColonQuote)) {
      copy_line_ = value_follows_ = false;
      return HideAfter(kColonQuote.size(), EndOfQuoted(at + kColonQuote.size()));
    }
    for (const std::string_view before : kBeforeQuoted) {
      if (text_.IsAt(at, before)) return HideAfter(before.size(), EndOfQuoted(at + before.size()));
    }
    for (const std::string_view before : kBeforeRest) {
      if (text_.IsAt(at, before)) return HideAfter(before.size(), EndOfLine(at + before.size()));
    }
    for (const std::string_view before : kBeforeColonAndQuoted) {
      if (text_.IsAt(at, before)) value_follows_ = true;
    }
    text_.Keep(1);
  }

  void HideAfter(size_t kept, size_t end) {
    text_.Keep(kept);
    text_.HideTo(end);
  }

  // ", line 3", and what is left of the line of JSON.
  void TakeLineNumber(size_t at) {
    const bool json = text_.IsAt(at, kJsonLine);
    text_.Keep(json ? kJsonLine.size() : kLine.size());
    bool digits = false;
    while (text_.Ahead() >= '0' && text_.Ahead() <= '9') {
      digits = true;
      text_.Keep(1);
    }
    if (json && digits && text_.IsAt(text_.Position(), ": ")) {
      return HideAfter(2, EndOfLine(text_.Position() + 2));
    }
    copy_line_ = copy_line_ || (digits && !json);
  }

  // Whether a field of a message could end here: at the end of the text, or before another field. A value
  // may hold newlines of its own.
  bool IsFieldEnd(size_t at) {
    if (at >= text_.Size()) return true;
    size_t next = at;
    if (text_.At(at) == '\n' || text_.At(at) == '\r') {
      next = at + 1;
      if (next >= text_.Size()) return true;
    } else if (text_.IsAt(at, "; ")) {
      next = at + 2;
    } else {
      return text_.IsAt(at, " (exit code ") || text_.IsAt(at, " (killed by") || text_.IsAt(at, " (SQLSTATE");
    }
    for (const std::string_view field : kFields) {
      if (text_.IsAt(next, field)) return true;
    }
    return false;
  }

  // Each gives the place where what must stay begins again, or the text's end.

  size_t EndOfRow(size_t at) {
    for (; at < text_.Size(); ++at) {
      if (text_.At(at) == ')' && text_.At(at + 1) == '.' && IsFieldEnd(at + 2)) return at;
      // A text that connection.cc and others put in parentheses loses its last full stop.
      if (text_.At(at) == ')' && IsFieldEnd(at + 1)) return at;
    }
    return at;
  }

  size_t EndOfKey(size_t at) {
    for (; at < text_.Size(); ++at) {
      if (text_.At(at) != ')') continue;
      for (const std::string_view after : kAfterKey) {
        if (text_.IsAt(at + 1, after)) return at;
      }
      if (IsFieldEnd(at + 1) || (text_.At(at + 1) == '.' && IsFieldEnd(at + 2))) return at;
    }
    return at;
  }

  size_t EndOfQuoted(size_t at) {
    for (; at < text_.Size(); ++at) {
      if (text_.At(at) != '"') continue;
      if (IsFieldEnd(at + 1)) return at;
      for (const std::string_view after : kAfterQuoted) {
        if (text_.IsAt(at + 1, after)) return at;
      }
    }
    return at;
  }

  size_t EndOfLine(size_t at) {
    while (at < text_.Size() && !IsFieldEnd(at)) ++at;
    return at;
  }

  RedactScanner text_;
  bool copy_ = false;           // "COPY " came in this field
  bool copy_line_ = false;      // and its line number
  bool value_follows_ = false;  // at the next colon
  bool key_ = false;            // "Key (" came in this field
};

}  // namespace

std::string WithoutRows(std::string_view text, size_t* bytes_looked_at) {
  return RowsScanner(text).Run(bytes_looked_at);
}

}  // namespace salvor
