#include "agent/kubernetes/movers/mover_job.h"

#include <absl/strings/escaping.h>
#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <charconv>

#include "agent/kubernetes/velero/resources.h"
#include "base/io/sha256.h"
#include "base/names.h"
#include "base/text.h"

namespace salvor::movers {
namespace {

// Linux takes 128 KiB as one argument.
// Linux takes at most 128 KiB an argument, so a long task goes in several.
constexpr size_t kMostArgumentBytes = 120 << 10, kMostTaskBytes = 1 << 20;
constexpr size_t kMostSlug = 30;
constexpr char kStepAnnotation[] = "salvor.dev/step";
constexpr char kAttemptAnnotation[] = "salvor.dev/attempt";
// What a Job is kept for that everybody has forgotten, counted from its end.
constexpr int kKeptFor_s = 24 * 3600;
constexpr absl::Duration kLongest = absl::Hours(7 * 24);

std::string Digest(const std::string& text) { return ToHex(Sha256::Of(text)).substr(0, 16); }

// The same bytes for the same message, also of its maps.
std::string Bytes(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

std::string TaskDigest(const v1::Task& task) { return ToHex(Sha256::Of(Bytes(task.action()))); }

bool HasPassword(const std::string& repository) {
  const size_t scheme = repository.find("://");
  if (scheme == std::string::npos) return false;
  const std::string authority = repository.substr(scheme + 3, repository.find('/', scheme + 3) - scheme - 3);
  const size_t at = authority.rfind('@');
  return at != std::string::npos && authority.find(':') < at;
}

// Wherever in the message: repositories stand in many kinds of action.
bool ShowsPassword(const google::protobuf::Message& message) {
  if (message.GetDescriptor() == v1::ResticLocation::descriptor())
    return HasPassword(dynamic_cast<const v1::ResticLocation&>(message).repository());
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const auto* field : fields) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (ShowsPassword(field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                             : reflection.GetMessage(message, field)))
        return true;
    }
  }
  return false;
}

Json Labels(const v1::LeaseKey& lease) {
  return {{"app.kubernetes.io/name", "salvor-mover"},
          {"app.kubernetes.io/part-of", "salvor"},
          {velero::kRunLabel, lease.run()},
          {velero::kExcludeLabel, "true"},
          {kStepLabel, StepDigest(lease)},
          {kJobLabel, JobName(lease)}};
}

Json* FindMover(Json& pod) {
  const auto spec = pod.find("spec");
  if (spec == pod.end() || !spec->is_object()) return nullptr;
  const auto containers = spec->find("containers");
  if (containers == spec->end() || !containers->is_array()) return nullptr;
  for (Json& container : *containers) {
    if (kubernetes::TextAt(container, {"name"}) == kContainer) return &container;
  }
  return nullptr;
}

}  // namespace

std::string StepDigest(const v1::LeaseKey& lease) { return Digest(lease.run() + "\n" + lease.step()); }

std::string JobName(const v1::LeaseKey& lease) {
  std::string slug = Slug(lease.step()).substr(0, kMostSlug);
  std::replace(slug.begin(), slug.end(), '.', '-');
  while (!slug.empty() && slug.back() == '-') slug.pop_back();
  return fmt::format("mover-{}-{}", slug,
                     Digest(fmt::format("{}\n{}\n{}", lease.run(), lease.step(), lease.attempt())));
}

StatusOr<std::string> EncodeTask(const v1::Task& task) {
  if (ShowsPassword(task)) {
    return WithHint(
        InvalidArgument("the repository's address has a password in it, which the mover's Job would show"),
        "Take a repository whose credentials stand in the Location's environmentFile, such as a bucket.");
  }
  const std::string bytes = Bytes(task);
  std::string text = absl::Base64Escape(bytes);
  if (text.size() > kMostTaskBytes) {
    return WithHint(InvalidArgument("what the mover is to do takes {}, which no command line has room for",
                                    HumanBytes(text.size())),
                    "Make it several components, with fewer databases or checks each.");
  }
  return text;
}

StatusOr<v1::Task> DecodeTask(const std::string& text) {
  std::string bytes;
  v1::Task task;
  if (!absl::Base64Unescape(text, &bytes) || !task.ParseFromString(bytes))
    return InvalidArgument("the task can't be read: it is written by an executor, and not by hand");
  return task;
}

StatusOr<Json> MakeJob(const Json& pod_template, const v1::Task& task, absl::Duration time_left) {
  const v1::LeaseKey& lease = task.lease();
  ASSIGN_OR_RETURN(const std::string argument, EncodeTask(task));
  Json pod = velero::At(pod_template, {"template"});
  Json* mover = pod.is_object() ? FindMover(pod) : nullptr;
  if (mover == nullptr) {
    return WithHint(FailedPrecondition("the pod template of movers has no container called '{}'", kContainer),
                    "Apply deploy/kubernetes/mover.yaml again.");
  }
  Json& arguments = (*mover)["args"];
  if (!arguments.is_array()) arguments = Json::array();
  arguments.push_back("--job=" + JobName(lease));
  for (size_t at = 0; at < argument.size(); at += kMostArgumentBytes)
    arguments.push_back("--task=" + argument.substr(at, kMostArgumentBytes));
  (*mover)["terminationMessagePolicy"] = "File";
  pod["spec"]["restartPolicy"] = "Never";
  Json& labels = pod["metadata"]["labels"];
  if (!labels.is_object()) labels = Json::object();
  labels.update(Labels(lease));
  const int64_t seconds = absl::ToInt64Seconds(std::clamp(time_left, absl::Minutes(1), kLongest));
  return Json{{"apiVersion", "batch/v1"},
              {"kind", "Job"},
              {"metadata",
               {{"name", JobName(lease)},
                {"labels", Labels(lease)},
                {"annotations",
                 {{kStepAnnotation, lease.step()},
                  {kAttemptAnnotation, std::to_string(lease.attempt())},
                  {kTaskAnnotation, TaskDigest(task)}}}}},
              {"spec",
               {{"backoffLimit", 0},
                {"completions", 1},
                {"parallelism", 1},
                {"activeDeadlineSeconds", seconds},
                {"ttlSecondsAfterFinished", kKeptFor_s},
                {"template", pod}}}};
}

int AttemptOf(const Json& job) {
  const std::string text = kubernetes::TextAt(job, {"metadata", "annotations", kAttemptAnnotation});
  int attempt = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), attempt);
  return error == std::errc() && end == text.data() + text.size() ? attempt : 0;
}

bool IsOfTask(const Json& job, const v1::Task& task) {
  const v1::LeaseKey& lease = task.lease();
  const auto annotation = [&](const char* name) {
    return kubernetes::TextAt(job, {"metadata", "annotations", name});
  };
  return kubernetes::TextAt(job, {"metadata", "labels", velero::kRunLabel}) == lease.run() &&
         annotation(kStepAnnotation) == lease.step() && AttemptOf(job) == lease.attempt() &&
         annotation(kTaskAnnotation) == TaskDigest(task);
}

}  // namespace salvor::movers
