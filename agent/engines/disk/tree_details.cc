#include "agent/engines/disk/tree_details.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "agent/engines/disk/tree_codec.h"

namespace salvor::agent {
namespace {

// The summary is known last and stands first: it ends where the entries begin.
constexpr int64_t kRoomForSummary = 1024;

int64_t Entries(const v1::TreeSummary& summary) {
  return summary.files() + summary.directories() + summary.symlinks() + summary.others();
}

Status OtherNumbers() {
  return DataLoss("the tree's details hold other numbers of entries than their summary names");
}

class DetailsStream final : public TreeStream {
 public:
  DetailsStream(SpoolInput input, v1::TreeSummary expected)
      : input_(std::move(input)), expected_(std::move(expected)) {}

  StatusOr<bool> Next(v1::TreeEntry* entry) override {
    if (input_.AtEnd()) {
      counted_.set_sha256(expected_.sha256());
      if (counted_.SerializeAsString() != expected_.SerializeAsString()) return OtherNumbers();
      return false;
    }
    ASSIGN_OR_RETURN(const std::string_view line, input_.TakeLine());
    ASSIGN_OR_RETURN(*entry, DecodeTreeEntry(line));
    if (entry->path() < path_) return DataLoss("the tree's details are not sorted: {}", entry->path());
    path_ = entry->path();
    CountEntry(*entry, &counted_);
    return true;
  }

 private:
  SpoolInput input_;
  v1::TreeSummary expected_, counted_;
  std::string path_;
};

}  // namespace

TreeDetailsWriter::TreeDetailsWriter(UniqueFd file)
    : file_(std::move(file)), output_(file_.Get(), kRoomForSummary) {}

StatusOr<TreeDetailsWriter> TreeDetailsWriter::Open(const SpoolFolder& folder) {
  ASSIGN_OR_RETURN(UniqueFd file, folder.NewFile());
  return TreeDetailsWriter(std::move(file));
}

Status TreeDetailsWriter::Add(const v1::TreeEntry& entry) {
  const std::string line = EncodeTreeEntry(entry);
  sha256_.Update(line);
  CountEntry(entry, &summary_);
  return output_.Append(line);
}

StatusOr<WrittenDetails> TreeDetailsWriter::Finish() {
  RETURN_IF_ERROR(output_.Flush());
  summary_.set_sha256(sha256_.Finish());
  const std::string line = EncodeTreeSummary(summary_);
  WrittenDetails written;
  written.begin = kRoomForSummary - static_cast<int64_t>(line.size());
  if (written.begin < 0) return Internal("the summary of a tree has {} bytes", line.size());
  SpoolOutput start(file_.Get(), written.begin);
  RETURN_IF_ERROR(start.Append(line));
  RETURN_IF_ERROR(start.Flush());
  ASSIGN_OR_RETURN_IN(written.sha256, Sha256OfFile(file_.Get(), written.begin, output_.Offset()),
                      "digest the tree's details");
  if (::lseek(file_.Get(), written.begin, SEEK_SET) < 0) return SpoolError(errno, "read");
  written.bytes = output_.Offset() - written.begin;
  written.summary = std::move(summary_);
  written.file = std::move(file_);
  return written;
}

StatusOr<TreeDetails> TreeDetails::Open(UniqueFd file) {
  TreeDetails details;
  details.file_ = std::move(file);
  struct stat facts {};
  if (::fstat(details.file_.Get(), &facts) != 0) return SpoolError(errno, "read");
  details.end_ = facts.st_size;
  SpoolInput input(details.file_.Get(), 0, details.end_);
  ASSIGN_OR_RETURN(std::string_view line, input.TakeLine());
  if (line.empty() || line.back() != '\n') return DataLoss("the tree's details have no summary");
  details.first_entry_ = static_cast<int64_t>(line.size());
  ASSIGN_OR_RETURN(details.summary_, DecodeTreeSummary(line));
  Sha256 sha256;
  int64_t lines = 0;
  bool is_whole = true;
  for (; !input.AtEnd(); ++lines) {
    ASSIGN_OR_RETURN(line, input.TakeLine());
    sha256.Update(line);
    is_whole = line.back() == '\n';
    details.has_hard_links_ = details.has_hard_links_ || LineHasHardLink(line);
  }
  if (sha256.Finish() != details.summary_.sha256())
    return DataLoss("the tree's details do not have the SHA-256 that their summary names");
  if (!is_whole) return DataLoss("the tree's details end in the middle of a line");
  if (lines != Entries(details.summary_)) return OtherNumbers();
  return details;
}

StatusOr<std::unique_ptr<TreeStream>> TreeDetails::Read() const {
  return StatusOr<std::unique_ptr<TreeStream>>(
      std::make_unique<DetailsStream>(SpoolInput(file_.Get(), first_entry_, end_), summary_));
}

Status TreeDetails::ReadHardLinks(const std::function<Status(const std::string&)>& each) const {
  SpoolInput input(file_.Get(), first_entry_, has_hard_links_ ? end_ : first_entry_);
  while (!input.AtEnd()) {
    ASSIGN_OR_RETURN(const std::string_view line, input.TakeLine());
    if (!LineHasHardLink(line)) continue;
    ASSIGN_OR_RETURN(const v1::TreeEntry entry, DecodeTreeEntry(line));
    if (!entry.hard_link().empty()) RETURN_IF_ERROR(each(entry.hard_link()));
  }
  return OkStatus();
}

TreeSource TreeDetails::Source() const {
  return {[this] { return Read(); }, [this](const auto& each) { return ReadHardLinks(each); }};
}

}  // namespace salvor::agent
