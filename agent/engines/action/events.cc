#include "agent/engines/action/events.h"

#include <algorithm>

#include "agent/engines/action/json_gate.h"
#include "base/text.h"

namespace salvor::agent {

using nlohmann::json;

struct ActionEvents::Event {
  const EventKind* kind = nullptr;
  json fields;

  bool Has(const char* name) const { return fields.contains(name); }
  std::string Text(const char* name) const {
    const auto found = fields.find(name);
    return found == fields.end() ? "" : found->get<std::string>();
  }
  int64_t Number(const char* name, int64_t otherwise) const {
    const auto found = fields.find(name);
    return found == fields.end() ? otherwise : found->get<int64_t>();
  }
};

namespace {

const EventKind* FindKind(const std::string& name) {
  for (const EventKind& kind : EventKinds()) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

Status CheckText(const EventField& field, const json& value) {
  if (!value.is_string()) return InvalidArgument("its {} is no text", field.name);
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() > field.longest)
    return InvalidArgument("its {} is longer than {} bytes", field.name, field.longest);
  if (text.empty() && field.required && field.name == "name")
    return InvalidArgument("its {} is empty", field.name);
  const auto& values = field.one_of;
  if (!values.empty() && std::find(values.begin(), values.end(), text) == values.end())
    return InvalidArgument("its {} is none of {}", field.name, Join(values, ", "));
  return OkStatus();
}

Status CheckNumber(const EventField& field, const json& value) {
  // Anything beyond an int64 is unsigned or a float for the parser.
  const bool fits = value.is_number_integer() && (!value.is_number_unsigned() ||
                                                  value.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX));
  if (!fits || value.get<int64_t>() < 0)
    return InvalidArgument("its {} is no whole number from 0 on", field.name);
  return OkStatus();
}

Status CheckFields(const EventKind& kind, const json& event) {
  for (const EventField& field : kind.fields) {
    const auto value = event.find(field.name);
    if (value == event.end()) {
      if (field.required) return InvalidArgument("it has no {}", field.name);
      continue;
    }
    RETURN_IF_ERROR(field.type == EventField::kText ? CheckText(field, *value) : CheckNumber(field, *value));
  }
  for (const auto& [key, value] : event.items()) {
    const auto is_it = [&name = key](const EventField& field) { return field.name == name; };
    if (key != "event" && std::none_of(kind.fields.begin(), kind.fields.end(), is_it))
      return InvalidArgument("an event '{}' has no '{}'", kind.name, CleanText(Elide(key, 40)));
  }
  return OkStatus();
}

template <typename Container>
Status CheckRoom(const Container& container) {
  if (container.size() < kMostExpectations) return OkStatus();
  return InvalidArgument("there are more than {} of its kind", kMostExpectations);
}

}  // namespace

Status ActionEvents::Add(std::string_view bytes) {
  if (!broken_.ok()) return broken_;
  bytes_ += bytes.size();
  if (bytes_ > kMostEventBytes)
    broken_ = InvalidArgument("its events are longer than {} bytes", kMostEventBytes);
  pending_.append(bytes);
  size_t begin = 0;
  for (size_t end = 0; broken_.ok() && (end = pending_.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    ++events_;
    const Status status = Line(std::string_view(pending_).substr(begin, end - begin));
    if (!status.ok()) broken_ = WithContext(status, fmt::format("event {}", events_));
  }
  pending_.erase(0, begin);
  if (broken_.ok() && pending_.size() > kLongestEventBytes)
    broken_ = InvalidArgument("event {}: it is longer than {} bytes", events_ + 1, kLongestEventBytes);
  return broken_;
}

Status ActionEvents::Finish() const {
  RETURN_IF_ERROR(broken_);
  if (!pending_.empty()) return InvalidArgument("event {}: it is cut short", events_ + 1);
  if (!done_) return InvalidArgument("its last event is not 'done', so it did not tell all");
  return OkStatus();
}

const ActionArtifact* ActionEvents::FindArtifact(const std::string& name) const {
  for (const ActionArtifact& one : artifacts_) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

Status ActionEvents::Line(std::string_view line) {
  if (events_ > kMostEvents) return InvalidArgument("there are more than {} events", kMostEvents);
  if (done_) return InvalidArgument("it comes after 'done'");
  Event event;
  ASSIGN_OR_RETURN(event.fields, ReadJsonObject(line));
  const auto name = event.fields.find("event");
  if (name == event.fields.end() || !name->is_string()) return InvalidArgument("it does not say which it is");
  event.kind = FindKind(name->get<std::string>());
  if (event.kind == nullptr)
    return InvalidArgument("'{}' is no event", CleanText(Elide(name->get<std::string>(), 40)));
  const auto& verbs = event.kind->verbs;
  if (std::find(verbs.begin(), verbs.end(), verb_) == verbs.end())
    return InvalidArgument("'{}' is no event of {}", event.kind->name, NameOf(verb_));
  RETURN_IF_ERROR_IN(CheckFields(*event.kind, event.fields), event.kind->name);
  return WithContext(Take(event), event.kind->name);
}

Status ActionEvents::Take(const Event& event) {
  const std::string& kind = event.kind->name;
  if (kind == "artifact") return TakeArtifact(event);
  if (kind == "expect") return TakeValue(event, &expectations_);
  if (kind == "observe") return TakeValue(event, &observations_);
  if (kind == "check") {
    RETURN_IF_ERROR(CheckRoom(checks_));
    checks_.push_back({CleanText(event.Text("name")), event.Text("verdict"), clean_(event.Text("detail"))});
  } else if (kind == "warning" || kind == "conflict") {
    std::vector<std::string>& sentences = kind == "warning" ? warnings_ : conflicts_;
    RETURN_IF_ERROR(CheckRoom(sentences));
    sentences.push_back(clean_(event.Text("message")));
  } else if (kind == "progress") {
    progress_ = ToldProgress{event.Number("bytes_done", 0), event.Number("bytes_total", 0),
                             clean_(event.Text("message"))};
  } else if (kind == "error") {
    error_ = ToldError{clean_(event.Text("message")), clean_(event.Text("hint"))};
  } else {
    done_ = true;
  }
  return OkStatus();
}

Status ActionEvents::TakeArtifact(const Event& event) {
  ActionArtifact artifact;
  artifact.name = event.Text("name");
  artifact.stream = event.Text("kind") == "stream";
  artifact.path = event.Text("path");
  artifact.bytes = event.Number("bytes", -1);
  artifact.sha256 = event.Text("sha256");
  RETURN_IF_ERROR(CheckArtifactName(artifact.name));
  if (FindArtifact(artifact.name) != nullptr)
    return InvalidArgument("artifact {} was told of before", artifact.name);
  if (artifacts_.size() >= kMostArtifacts) return InvalidArgument("there are more than {}", kMostArtifacts);
  const auto digest = FromHex(artifact.sha256);
  if (!artifact.sha256.empty() && (!digest.has_value() || digest->size() != 32))
    return InvalidArgument("its sha256 is none in lower-case hexadecimal");
  if (artifact.stream && !artifact.path.empty()) return InvalidArgument("a stream has no path");
  if (verb_ == ActionVerb::kBackup) {
    if (artifact.bytes < 0) return InvalidArgument("it has no bytes");
    if (!artifact.stream) RETURN_IF_ERROR(CheckWorkPath(artifact.path));
  }
  const auto streams = std::count_if(artifacts_.begin(), artifacts_.end(),
                                     [](const ActionArtifact& one) { return one.stream; });
  if (artifact.stream && static_cast<size_t>(streams) >= kMostStreams)
    return InvalidArgument("there are more than {} streams", kMostStreams);
  artifacts_.push_back(std::move(artifact));
  return OkStatus();
}

Status ActionEvents::TakeValue(const Event& event, std::map<std::string, std::string>* values) {
  RETURN_IF_ERROR(CheckRoom(*values));
  const std::string name = event.Text("name");
  if (CleanText(name) != name) return InvalidArgument("its name holds what cannot be shown");
  if (!values->emplace(name, event.Text("value")).second)
    return InvalidArgument("{} was told of before", Elide(name, 80));
  return OkStatus();
}

}  // namespace salvor::agent
