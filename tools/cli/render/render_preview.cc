#include "tools/cli/render/render_preview.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {
namespace {

using Texts = google::protobuf::RepeatedPtrField<std::string>;

constexpr int kShown = 20;

std::string KindIn(const std::string& kind) { return kind.substr(kind.rfind('/') + 1); }

std::string LineOf(const v1::ObjectChange& change) {
  const std::string from = change.from().empty() ? "nothing" : change.from();
  const std::string to = change.to().empty() ? "nothing" : change.to();
  return CleanText(fmt::format("{} {}: {}: {} → {}", change.kind(), change.name(), change.field(), from, to));
}

class Preview {
 public:
  explicit Preview(const Style& style) : style_(style) {}

  void Add(const std::string& word, const std::string& text) {
    text_ += Indented(Paint(style_, Tone::kStrong, word) + " " + text, 4, style_.width);
  }

  void AddNames(const std::string& word, const Texts& names, int64_t more = 0) {
    const int shown = style_.wide ? names.size() : std::min(kShown, names.size());
    for (int i = 0; i < shown; ++i) Add(word, CleanText(names.Get(i)));
    if (names.size() + more > shown) Add(word, fmt::format("{} more", names.size() + more - shown));
  }

  std::string Take() { return std::move(text_); }

 private:
  const Style& style_;
  std::string text_;
};

}  // namespace

std::string RenderPreview(const v1::VeleroRestorePreview& preview, const Style& style) {
  Preview page(style);
  for (const v1::VeleroReport::KindCount& one : preview.creates())
    page.Add("create", Count(one.objects(), CleanText(KindIn(one.kind()))));
  if (preview.claim_bytes() > 0) page.Add("space", HumanBytes(preview.claim_bytes()) + " for all claims");
  Texts changes;
  for (const v1::ObjectChange& change : preview.changes()) *changes.Add() = LineOf(change);
  page.AddNames("change", changes, preview.changes_left_out());
  page.AddNames("leave out", preview.left_out());
  page.AddNames("there already", preview.conflicts());
  page.AddNames("not restored, as it is of the cluster:", preview.not_restored());
  return page.Take();
}

}  // namespace salvor::cli
