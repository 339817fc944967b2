#include "agent/executor/redact.h"

#include <regex>

#include "base/text.h"

namespace salvor::agent {

std::string Redact(std::string_view line) {
  static const std::regex kUrl("([a-zA-Z][a-zA-Z0-9+.-]*://[^/@:\\s]*):[^@\\s]+@");
  static const std::regex kPair(
      "((?:[A-Za-z0-9_-]*(?:password|passwd|secret|token|access_key|account_key|credential)[A-Za-z0-9_-]*)"
      "\\s*[=:]\\s*)"
      "('[^']*'|\"[^\"]*\"|[^\\s,;]+)",
      std::regex::icase);
  static const std::regex kSql("(PASSWORD\\s+)'(?:[^']|'')*'", std::regex::icase);
  static const std::regex kScram("SCRAM-SHA-256\\$[^\\s']+|\\bmd5[0-9a-f]{32}\\b");
  std::string text = Elide(line, 4096);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 && c != '\t') c = '?';
  }
  text = std::regex_replace(text, kUrl, "$1:***@");
  text = std::regex_replace(text, kSql, "$1'***'");
  text = std::regex_replace(text, kScram, "***");
  return std::regex_replace(text, kPair, "$1***");
}

}  // namespace salvor::agent
