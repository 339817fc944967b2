#include "agent/executor/reportable.h"

#include <fmt/core.h>

#include <set>
#include <vector>

#include "base/redact.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Written for people, from what tools and servers said. All other texts are names and codes.
bool IsForPeople(const FieldDescriptor* field) {
  static const std::set<std::string> kFields = {
      "salvor.v1.VeleroVolume.skip",     "salvor.v1.Error.message",     "salvor.v1.Error.hint",
      "salvor.v1.Check.subject",         "salvor.v1.Check.compared",    "salvor.v1.Progress.message",
      "salvor.v1.ActionResult.warnings", "salvor.v1.ActionResult.note", "salvor.v1.Manifest.warnings",
      "salvor.v1.MissingArtifact.why",   "salvor.v1.NotBuilt.title",    "salvor.v1.NotBuilt.cause"};
  return kFields.count(field->full_name()) > 0;
}

std::string Reportable(const FieldDescriptor* field, const std::string& text) {
  return IsForPeople(field) ? ReportableText(text, kLongestText) : ValidUtf8(text);
}

void CleanTexts(Message& message) {
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const bool text = field->type() == FieldDescriptor::TYPE_STRING;
    if (!text && field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (!text) {
        CleanTexts(field->is_repeated() ? *reflection->MutableRepeatedMessage(&message, field, i)
                                        : *reflection->MutableMessage(&message, field));
      } else if (field->is_repeated()) {
        const std::string was = reflection->GetRepeatedString(message, field, i);
        reflection->SetRepeatedString(&message, field, i, Reportable(field, was));
      } else {
        reflection->SetString(&message, field, Reportable(field, reflection->GetString(message, field)));
      }
    }
  }
}

}  // namespace

void MakeReportable(v1::ActionResult& result) {
  CleanTexts(result);
  const size_t bytes = result.ByteSizeLong();
  if (bytes <= kLargestResult) return;
  v1::ActionResult replaced;
  *replaced.mutable_started_at() = result.started_at();
  *replaced.mutable_finished_at() = result.finished_at();
  v1::Error* error = replaced.mutable_error();
  error->set_reason(v1::Error::REASON_FAILED);
  error->set_message(fmt::format("the result has {}, more than the {} that can be reported",
                                 HumanBytes(static_cast<int64_t>(bytes)), HumanBytes(kLargestResult)));
  error->set_hint(
      "Look for a check or a warning that repeats itself in the run's log, and please report it.");
  result = std::move(replaced);
}

void MakeReportable(v1::Progress& progress) { CleanTexts(progress); }

}  // namespace salvor::agent
