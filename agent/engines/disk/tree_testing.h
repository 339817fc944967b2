// Odd trees for tests, and short ones as lists. Tests only.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/engines/disk/tree.h"
#include "agent/engines/disk/tree_compare.h"
#include "agent/engines/disk/tree_coverage.h"
#include "agent/engines/disk/tree_details.h"
#include "agent/process/process_testing.h"
#include "base/io/files.h"

namespace salvor::agent {

inline void Put(const std::string& path, const std::string& text, int mode = 0644) {
  ASSERT_TRUE(WriteFileAtomically(path, text, mode).ok()) << path;
  ASSERT_EQ(::chmod(path.c_str(), static_cast<mode_t>(mode)), 0);
}

inline void PutSparse(const std::string& path, int64_t bytes, const std::string& at_end) {
  const UniqueFd fd(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  ASSERT_EQ(::pwrite(fd.Get(), at_end.data(), at_end.size(), bytes - static_cast<int64_t>(at_end.size())),
            static_cast<ssize_t>(at_end.size()));
}

inline timespec MtimeOf(const std::string& path) {
  struct stat facts {};
  EXPECT_EQ(::lstat(path.c_str(), &facts), 0) << path;
  return facts.st_mtim;
}

inline void SetMtime(const std::string& path, timespec mtime) {
  const timespec times[2] = {mtime, mtime};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0) << path;
}

// Everything that has ever surprised a backup program, below `root`.
inline void MakeOddTree(const std::string& root) {
  ASSERT_TRUE(MakeDirectories(root + "/a directory/deep/er").ok());
  ASSERT_TRUE(MakeDirectories(root + "/empty").ok());
  Put(root + "/a directory/with space", "one");
  Put(root + "/a directory/new\nline", "two");
  Put(root + "/a directory/not utf-8 \xff\xfe", "three");
  Put(root + "/a directory/100%", "four");
  Put(root + "/a directory/star*[x]?\\", "five");
  Put(root + "/a directory/deep/er/secret", "six", 0600);
  Put(root + "/program", "#!/bin/true\n", 04755);
  Put(root + "/nothing", "");
  Put(root + "/linked", "once");
  ASSERT_EQ(::link((root + "/linked").c_str(), (root + "/a directory/again").c_str()), 0);
  ASSERT_EQ(::symlink("linked", (root + "/link").c_str()), 0);
  ASSERT_EQ(::symlink("no such thing", (root + "/dangling").c_str()), 0);
  ASSERT_EQ(::symlink("/etc", (root + "/outside").c_str()), 0);
  ASSERT_EQ(::mkfifo((root + "/pipe").c_str(), 0640), 0);
  PutSparse(root + "/sparse", 3 << 20, "end");
  ASSERT_EQ(::setxattr((root + "/linked").c_str(), "user.color", "blue\0green", 10, 0), 0);
  ASSERT_EQ(::setxattr((root + "/empty").c_str(), "user.note", "", 0, 0), 0);
  ASSERT_EQ(::chmod((root + "/empty").c_str(), 01770), 0);
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown((root + "/a directory/deep").c_str(), 12, 34), 0);
    ASSERT_EQ(::lchown((root + "/link").c_str(), 56, 78), 0);
  }
  SetMtime(root + "/nothing", {1'000'000'000, 123'456'789});
  SetMtime(root + "/a directory", {1'100'000'000, 1});
}

inline const SpoolFolder& SpoolForTests() {
  static const TemporaryDirectory directory;
  static const SpoolFolder folder(directory.Path());
  return folder;
}

inline StatusOr<std::vector<CapturedEntry>> ListOf(StatusOr<std::unique_ptr<EntryStream>> stream) {
  RETURN_IF_ERROR(stream.status());
  std::vector<CapturedEntry> entries;
  for (CapturedEntry captured;;) {
    ASSIGN_OR_RETURN(const bool more, (*stream)->Next(&captured));
    if (!more) return entries;
    entries.push_back(captured);
  }
}

inline StatusOr<std::vector<v1::TreeEntry>> ListOf(const TreeSource& tree) {
  ASSIGN_OR_RETURN(const std::unique_ptr<TreeStream> stream, tree.read());
  std::vector<v1::TreeEntry> entries;
  for (v1::TreeEntry entry;;) {
    ASSIGN_OR_RETURN(const bool more, stream->Next(&entry));
    if (!more) return entries;
    entries.push_back(entry);
  }
}

inline StatusOr<std::vector<CapturedEntry>> WalkPaths(const std::vector<std::string>& paths,
                                                      const WalkOptions& options) {
  CapturedTree tree(SpoolForTests());
  RETURN_IF_ERROR(WalkPaths(paths, options, SpoolForTests(),
                            [&tree](CapturedEntry captured) { return tree.Add(std::move(captured)); }));
  RETURN_IF_ERROR(tree.Finish());
  return ListOf(tree.Read());
}

inline std::vector<v1::TreeEntry> EntriesOf(const std::vector<std::string>& paths) {
  const StatusOr<std::vector<CapturedEntry>> walked = WalkPaths(paths, {});
  EXPECT_TRUE(walked.ok()) << walked.status();
  std::vector<v1::TreeEntry> entries;
  for (const CapturedEntry& captured : *walked) entries.push_back(captured.entry);
  return entries;
}

// Borrows the list, which is sorted.
inline TreeSource SourceOf(const std::vector<v1::TreeEntry>& entries) {
  class ListStream final : public TreeStream {
   public:
    explicit ListStream(const std::vector<v1::TreeEntry>& entries) : entries_(entries) {}
    StatusOr<bool> Next(v1::TreeEntry* entry) override {
      if (next_ == entries_.size()) return false;
      *entry = entries_[next_++];
      return true;
    }

   private:
    const std::vector<v1::TreeEntry>& entries_;
    size_t next_ = 0;
  };
  return {[&entries]() -> StatusOr<std::unique_ptr<TreeStream>> {
            return StatusOr<std::unique_ptr<TreeStream>>(std::make_unique<ListStream>(entries));
          },
          [&entries](const std::function<Status(const std::string&)>& each) -> Status {
            for (const v1::TreeEntry& entry : entries) {
              if (!entry.hard_link().empty()) RETURN_IF_ERROR(each(entry.hard_link()));
            }
            return OkStatus();
          }};
}

// The found entries still have the paths of the copy.
inline TreeComparison CompareTrees(const std::vector<v1::TreeEntry>& captured,
                                   std::vector<v1::TreeEntry> found, const std::string& path,
                                   const std::string& copy) {
  const std::vector<ComparedPlace> places = {{path, copy}};
  const CapturedPaths paths(places);
  for (v1::TreeEntry& entry : found) {
    entry.set_path(paths.Of(entry.path()));
    if (!entry.hard_link().empty()) entry.set_hard_link(paths.Of(entry.hard_link()));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.path() < b.path(); });
  const auto compared = CompareTrees(SourceOf(captured), SourceOf(found), places, SpoolForTests());
  EXPECT_TRUE(compared.ok()) << compared.status();
  return compared.ok() ? compared->front() : TreeComparison();
}

inline std::unique_ptr<CapturedTree> CapturedTreeOf(const std::vector<CapturedEntry>& entries) {
  auto tree = std::make_unique<CapturedTree>(SpoolForTests());
  for (const CapturedEntry& captured : entries) EXPECT_TRUE(tree->Add(captured).ok());
  EXPECT_TRUE(tree->Finish().ok());
  return tree;
}

inline void MarkChanges(std::vector<CapturedEntry>* before, const std::vector<CapturedEntry>& after) {
  const auto earlier = CapturedTreeOf(*before), later = CapturedTreeOf(after);
  const auto marked = ListOf(MarkChanges(*earlier, *later));
  EXPECT_TRUE(marked.ok()) << marked.status();
  *before = marked.value_or(std::vector<CapturedEntry>());
}

struct SnapshotView {
  std::map<std::string, std::string> types;  // by path, as restic prints it
  std::vector<std::string> errors;           // "path: reason", as restic prints it
};

// The answer: restic's errors about nothing in the tree.
inline std::vector<std::string> ApplySnapshot(std::vector<CapturedEntry>* entries, const SnapshotView& view,
                                              const std::vector<std::string>& paths) {
  const auto tree = CapturedTreeOf(*entries);
  SnapshotContent content(SpoolForTests());
  for (const auto& [path, type] : view.types) EXPECT_TRUE(content.Add(path, type).ok());
  EXPECT_TRUE(content.Finish().ok());
  ResticErrors errors(view.errors);
  SnapshotJudgement judgement{[&tree] { return tree->Read(); }, tree->HasOddPaths(), &content, &errors,
                              paths};
  entries->clear();
  const Status status = ApplySnapshot(judgement, SpoolForTests(), [entries](const v1::TreeEntry& entry) {
    entries->emplace_back().entry = entry;
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return errors.Unmatched();
}

inline StatusOr<std::string> EncodeTree(const std::vector<v1::TreeEntry>& entries) {
  ASSIGN_OR_RETURN(TreeDetailsWriter writer, TreeDetailsWriter::Open(SpoolForTests()));
  for (const v1::TreeEntry& entry : entries) RETURN_IF_ERROR(writer.Add(entry));
  ASSIGN_OR_RETURN(const WrittenDetails written, writer.Finish());
  SpoolInput input(written.file.Get(), written.begin, written.begin + written.bytes);
  ASSIGN_OR_RETURN(const std::string_view text, input.Take(static_cast<size_t>(written.bytes)));
  return std::string(text);
}

struct DecodedTree {
  v1::TreeSummary summary;
  std::vector<v1::TreeEntry> entries;
};

inline StatusOr<DecodedTree> DecodeTree(std::string_view text) {
  ASSIGN_OR_RETURN(UniqueFd file, SpoolForTests().NewFile());
  SpoolOutput output(file.Get());
  RETURN_IF_ERROR(output.Append(text));
  RETURN_IF_ERROR(output.Flush());
  ASSIGN_OR_RETURN(const TreeDetails details, TreeDetails::Open(std::move(file)));
  ASSIGN_OR_RETURN(std::vector<v1::TreeEntry> entries, ListOf(details.Source()));
  return DecodedTree{details.Summary(), std::move(entries)};
}

inline v1::TreeEntry* EntryAt(std::vector<v1::TreeEntry>& entries, const std::string& path) {
  for (v1::TreeEntry& entry : entries) {
    if (entry.path() == path) return &entry;
  }
  ADD_FAILURE() << "no entry " << path;
  static v1::TreeEntry none;
  return &none;
}

}  // namespace salvor::agent
