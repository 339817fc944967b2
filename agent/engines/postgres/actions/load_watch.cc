#include "agent/engines/postgres/actions/load_watch.h"

#include <algorithm>
#include <set>

#include "agent/engines/postgres/actions/not_built.h"
#include "agent/engines/postgres/server_errors.h"
#include "base/redact.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr size_t kLongestCause = 400;

// A text of the archive, or of a session of pg_restore's, as sessions of ours say it. One that the server cannot
// convert is written out.
std::string Readable(Connection& session, const std::string& bytes) {
  const bool ascii = std::all_of(bytes.begin(), bytes.end(), [](char c) { return (c & 0x80) == 0; });
  if (ascii || session.TextEncoding() == session.ServerEncoding()) return AsUtf8(bytes);
  const auto converted = session.Value(
      "SELECT pg_catalog.convert_from(pg_catalog.decode($1, 'hex'), pg_catalog.getdatabaseencoding())",
      {ToHex(bytes)});
  return AsUtf8(converted.ok() ? *converted : bytes);
}

}  // namespace

LoadWatch::LoadWatch() : archive_(RowDigest::Mode::kCount) {
  archive_.OnEntry([this](ArchiveEntry entry) {
    const int64_t id = entry.id;
    entries_.insert_or_assign(id, std::move(entry));
  });
}

Status LoadWatch::OnBytes(std::string_view bytes) {
  // The stream's hash, and pg_restore, find what is wrong with it.
  if (!archive_.ContentsRead()) (void)archive_.Feed(bytes);
  return OkStatus();
}

std::vector<v1::NotBuilt> LoadWatch::All(Connection& inside, const std::string& database) const {
  std::vector<v1::NotBuilt> all;
  std::set<int64_t> told;
  for (const RestoreFailure& failure : errors_.All()) {
    if (failure.entry != 0 && !told.insert(failure.entry).second) continue;
    v1::NotBuilt one;
    one.set_database(AsUtf8(database));
    if (const auto entry = entries_.find(failure.entry); entry != entries_.end()) {
      one.set_kind(AsUtf8(entry->second.description));
      one.set_schema(Readable(inside, entry->second.schema));
      one.set_name(Readable(inside, entry->second.tag));
      one.set_title(TitleOfEntry(one.kind(), one.schema(), one.name()));
      if (failure.of_owner) {
        one.set_title("owner of " + one.title());
        one.set_kind(kOwnerOf + one.kind());
      }
    } else {
      one.set_title(failure.entry == 0 ? TitleOfEntry("", "", "") : fmt::format("entry {}", failure.entry));
    }
    const std::string error = Readable(inside, failure.error);
    one.set_cause(ReportableText(ServersWords(error), kLongestCause));
    one.set_sqlstate(std::string(SqlStateOfBadDump("pg_restore: error: " + error)));
    all.push_back(std::move(one));
  }
  return all;
}

std::string LoadWatch::FirstOfServer() const {
  for (const RestoreFailure& failure : errors_.All()) {
    if (SaysServerWasInTheWay(failure.error)) return failure.error;
  }
  return "";
}

std::string LoadWatch::WhyItEnded() const {
  const std::string of_server = FirstOfServer();
  return of_server.empty() ? errors_.All().back().error : of_server;
}

}  // namespace salvor::agent
