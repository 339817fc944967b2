#include "strategies/interface/declarations.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "base/names.h"
#include "base/text.h"
#include "proto/extension.h"

namespace salvor::strategies {

bool HasControlCharacters(const std::string& text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

namespace {

// Fields of ApplicationCheck.probe as they are written: "sql, write, permission, http, command".
std::string ProbeNames() {
  const auto* probes = v1::ApplicationCheck::descriptor()->FindOneofByName("probe");
  std::vector<std::string> names;
  for (int i = 0; i < probes->field_count(); ++i) {
    if (probes->field(i)->name() != "extension") names.push_back(probes->field(i)->name());
  }
  return Join(names, ", ");
}

void ValidateHttp(const v1::HttpCheck& http, const std::string& field, Problems* problems) {
  const bool has_scheme = http.url().rfind("http://", 0) == 0 || http.url().rfind("https://", 0) == 0;
  if (!has_scheme) {
    problems->Add(field + ".http.url", "must start with http:// or https://");
  } else if (HasControlCharacters(http.url()) || http.url().find(' ') != std::string::npos) {
    problems->Add(field + ".http.url", "must not contain spaces or control characters");
  }
  if (http.expect_status() != 0 && (http.expect_status() < 100 || http.expect_status() > 599)) {
    problems->Add(field + ".http.expectStatus", "must be from 100 to 599");
  }
}

void ValidateCommand(const v1::CommandCheck& command, const std::string& check, Problems* problems) {
  const std::string field = check + ".command.argv";
  if (command.argv().empty()) {
    problems->Add(field, "is missing");
  } else if (command.argv(0).empty()) {
    problems->Add(field + "[0]", "is empty");
  } else {
    problems->CheckPath(field + "[0]", command.argv(0));
  }
  for (int i = 0; i < command.argv_size(); ++i) {
    if (command.argv(i).find('\0') != std::string::npos) {
      problems->Add(fmt::format("{}[{}]", field, i), "contains a NUL byte");
    }
  }
  problems->CheckDuration(check + ".command.timeout", command.timeout(), false);
}

void ValidateCheck(const v1::ApplicationCheck& check, const std::string& field, const ProbeValidator& own,
                   Problems* problems) {
  problems->Check(field + ".name", CheckObjectName(check.name()));
  if (check.probe_case() == v1::ApplicationCheck::PROBE_NOT_SET)
    return problems->Add(field, "needs a probe: one of " + ProbeNames());
  if (check.has_http()) ValidateHttp(check.http(), field, problems);
  if (check.has_command()) ValidateCommand(check.command(), field, problems);
  if (check.has_http() || (check.has_command() && check.command().database().empty())) return;
  if (own != nullptr && own(check, field, problems)) return;
  const auto* probe = v1::ApplicationCheck::descriptor()->FindFieldByNumber(check.probe_case());
  const std::string kind =
      check.has_extension() ? CleanText(TypeOf(check.extension()).substr(0, 120)) + " " : "";
  problems->Add(fmt::format("{}.{}", field, probe->name()),
                kind + "is nothing that a component of this kind can be asked; use command or http");
}

}  // namespace

bool IsWithin(const std::string& inner, const std::string& outer) {
  if (outer == "/") return true;
  return inner.rfind(outer, 0) == 0 && (inner.size() == outer.size() || inner[outer.size()] == '/');
}

void Problems::Check(const std::string& field, const Status& status) {
  if (!status.ok()) Add(field, MessageOf(status));
}

void Problems::CheckDuration(const std::string& field, const std::string& text, bool zero_is_allowed) {
  if (text.empty()) return;
  const std::optional<absl::Duration> duration = ParseDuration(text);
  if (!duration || *duration == absl::InfiniteDuration()) {
    Add(field,
        fmt::format("'{}' is not a duration; write it like 90s, 5m or 1h30m", CleanText(text.substr(0, 40))));
  } else if (!zero_is_allowed && *duration == absl::ZeroDuration()) {
    Add(field, "must be longer than 0s");
  }
}

void Problems::CheckPath(const std::string& field, const std::string& path) {
  if (!path.empty()) Check(field, CheckAbsolutePath(path));
}

void Problems::CheckSecretFile(const std::string& field, const std::string& path) {
  if (path.empty() || CheckAbsolutePath(path).ok()) return;
  Add(field, "must be the absolute path of a file on the agent's host; the secret itself is never declared");
}

void Problems::CheckWord(const std::string& field, const std::string& text, const std::string& what) {
  if (text.empty()) {
    AddIncomplete(field, "is missing");
  } else if (text.front() == '-' || HasControlCharacters(text)) {
    Add(field, fmt::format("'{}' is no {}: it must not start with '-' or contain control characters",
                           CleanText(text.substr(0, 80)), what));
  }
}

void ValidateChecks(const v1::Component& component, const ProbeValidator& own, Problems* problems) {
  std::set<std::string> names;
  for (int i = 0; i < component.checks_size(); ++i) {
    const v1::ApplicationCheck& check = component.checks(i);
    const std::string field = fmt::format("checks[{}]", i);
    ValidateCheck(check, field, own, problems);
    if (!check.name().empty() && !names.insert(check.name()).second) {
      problems->Add(field + ".name", fmt::format("'{}' is the name of an earlier check", check.name()));
    }
  }
}

}  // namespace salvor::strategies
