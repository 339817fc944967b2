#include "agent/engines/postgres/archive_stream.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr int kBlockData = 1;
constexpr int kBlockLargeObjects = 3;
constexpr int kFormatCustom = 1;
constexpr int64_t kLongestText = int64_t{1} << 30;  // PostgreSQL's own limit for a value
// An entry of the table of contents is read once it is there as a whole: a function's body, say.
constexpr size_t kLongestEntryBytes = 16 << 20;

// Reads pg_dump's primitive values from what has arrived. A value that is not wholly there leaves `short_`
// set, and the caller comes back with more.
class Reader {
 public:
  Reader(std::string_view bytes, int int_size) : bytes_(bytes), int_size_(int_size) {}

  bool Short() const { return short_; }
  bool Bad() const { return bad_; }
  bool Ok() const { return !short_ && !bad_; }
  size_t Used() const { return at_; }
  void SetIntSize(int size) { int_size_ = size; }

  int Byte() {
    if (!Has(1)) return 0;
    return static_cast<unsigned char>(bytes_[at_++]);
  }

  // A sign byte, then the magnitude, least significant byte first.
  int64_t Int() {
    if (!Has(static_cast<size_t>(int_size_) + 1)) return 0;
    const bool negative = Byte() != 0;
    uint64_t value = 0;
    for (int i = 0; i < int_size_; ++i) value |= static_cast<uint64_t>(Byte()) << (8 * i);
    if (value > static_cast<uint64_t>(INT64_MAX)) bad_ = true;
    return negative ? -static_cast<int64_t>(value & INT64_MAX) : static_cast<int64_t>(value & INT64_MAX);
  }

  // Nothing for a null text.
  std::optional<std::string_view> Text() {
    const int64_t length = Int();
    if (!Ok() || length < 0) return std::nullopt;
    if (length > kLongestText) {
      bad_ = true;
      return std::nullopt;
    }
    return Bytes(static_cast<size_t>(length));
  }

  std::optional<std::string_view> Bytes(size_t size) {
    if (!Has(size)) return std::nullopt;
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }

 private:
  bool Has(size_t size) {
    if (!Ok()) return false;
    if (bytes_.size() - at_ < size) short_ = true;
    return !short_;
  }

  std::string_view bytes_;
  int int_size_;
  size_t at_ = 0;
  bool short_ = false, bad_ = false;
};

// One entry of the table of contents that has data.
struct DataEntry {
  std::string title;  // "TABLE DATA public.orders"
  int table = -1;     // index in the summary; -1: large objects or something else
  bool copy = false;  // its data is COPY text
  bool seen = false;
};

}  // namespace

std::string ColumnsOfCopyStatement(std::string_view statement) {
  // The names are quoted by pg_dump, so the last " FROM stdin;" is the clause itself, and the list runs from
  // the first "(" outside quotes to it.
  const size_t end = statement.rfind(" FROM stdin;");
  if (end == std::string_view::npos) return "";
  bool quoted = false;
  for (size_t i = 0; i < end; ++i) {
    if (statement[i] == '"') quoted = !quoted;
    if (statement[i] == '(' && !quoted) return std::string(statement.substr(i, end - i));
  }
  return "";
}

bool ReadSetvalStatement(std::string_view statement, ArchiveSequence& sequence) {
  // The name is a literal and may hold anything, so the end is read.
  const size_t close = statement.rfind(");");
  const size_t last_comma = statement.rfind(", ", close);
  if (close == std::string_view::npos || last_comma == std::string_view::npos) return false;
  const size_t first_comma = statement.rfind("', ", last_comma - 1);
  if (first_comma == std::string_view::npos) return false;
  const std::string_view called = statement.substr(last_comma + 2, close - last_comma - 2);
  if (called != "true" && called != "false") return false;
  const char* const begin = statement.data() + first_comma + 3;
  const char* const end = statement.data() + last_comma;
  const auto read = std::from_chars(begin, end, sequence.last_value);
  sequence.is_called = called == "true";
  return read.ec == std::errc() && read.ptr == end;
}

class ArchiveStream::Impl {
 public:
  explicit Impl(RowDigest::Mode mode) : mode_(mode), rows_(mode) {}

  Status Feed(std::string_view bytes);
  Status Finish();
  bool ContentsKnown() const {
    return state_ != State::kHeader && state_ != State::kContents && state_ != State::kUnreadable;
  }

  bool readable_ = true;
  std::string why_;
  ArchiveSummary summary_;
  int64_t tables_done_ = 0;
  std::function<void(ArchiveEntry)> on_entry_;

  bool ContentsRead() const { return state_ != State::kHeader && state_ != State::kContents; }

 private:
  enum class State { kHeader, kContents, kBlockType, kBlockId, kObjectId, kChunkLength, kChunk, kUnreadable };

  Status FeedFront(std::string_view& bytes);
  Status FeedData(const char* data, const char* end);
  bool ParseHeader(Status& status);
  bool ParseEntry(Status& status);
  void Unreadable(std::string why);
  bool TakeInt(const char*& data, const char* end, int64_t& value);
  Status OpenBlock(int64_t id);
  Status OpenObject(int64_t oid);
  Status OpenChunk(int64_t length);
  Status CloseData();
  Status TakeChunk(const char* data, size_t size);
  Status Broken(std::string_view what) {
    failure_ = DataLoss("the dump is damaged: {} (after {} bytes)", what, fed_);
    return failure_;
  }

  RowDigest::Mode mode_;
  State state_ = State::kHeader;
  Status failure_;
  int64_t fed_ = 0;
  std::string front_;    // bytes of the header or of an entry that is not whole yet
  size_t front_at_ = 0;  // consumed of it
  int minor_ = 0;
  int int_size_ = 4, offset_size_ = 8;
  int64_t entries_left_ = 0;
  bool count_read_ = false;
  std::unordered_map<int64_t, DataEntry> data_;

  unsigned char int_bytes_[9] = {};
  int int_have_ = 0;
  int block_type_ = 0;
  DataEntry* block_ = nullptr;
  int64_t chunk_left_ = 0;
  RowDigest rows_;
  LargeObjectDigest objects_;
};

Status ArchiveStream::Impl::Feed(std::string_view bytes) {
  if (!failure_.ok()) return failure_;
  fed_ += static_cast<int64_t>(bytes.size());
  if (state_ == State::kHeader || state_ == State::kContents) RETURN_IF_ERROR(FeedFront(bytes));
  if (state_ == State::kUnreadable) return OkStatus();
  return FeedData(bytes.data(), bytes.data() + bytes.size());
}

// The header and the table of contents, entry by entry; what belongs to the data stays in `bytes`.
Status ArchiveStream::Impl::FeedFront(std::string_view& bytes) {
  front_.append(bytes);
  Status status;
  bool progress = true;
  while (progress && status.ok() && (state_ == State::kHeader || state_ == State::kContents)) {
    progress = state_ == State::kHeader ? ParseHeader(status) : ParseEntry(status);
  }
  if (!status.ok()) return failure_ = status;
  if (state_ == State::kUnreadable) {
    front_ = std::string();
    return OkStatus();
  }
  if (state_ == State::kHeader || state_ == State::kContents) {
    front_.erase(0, front_at_);
    front_at_ = 0;
    bytes = {};
    if (front_.size() > kLongestEntryBytes) {
      Unreadable(
          fmt::format("an entry of its table of contents is longer than {}", HumanBytes(kLongestEntryBytes)));
      front_ = std::string();
    }
    return OkStatus();
  }
  bytes = bytes.substr(bytes.size() - (front_.size() - front_at_));
  front_ = std::string();
  return OkStatus();
}

void ArchiveStream::Impl::Unreadable(std::string why) {
  readable_ = false;
  why_ = std::move(why);
  state_ = State::kUnreadable;
}

bool ArchiveStream::Impl::ParseHeader(Status& status) {
  Reader reader(front_, int_size_);
  const std::string_view magic = "PGDMP";
  const size_t compared = std::min(front_.size(), magic.size());
  if (std::string_view(front_).substr(0, compared) != magic.substr(0, compared)) {
    status = Broken("it does not begin as an archive of pg_dump");
    return false;
  }
  reader.Bytes(magic.size());
  const int major = reader.Byte();
  minor_ = reader.Byte();
  reader.Byte();  // revision
  if (!reader.Ok()) return false;
  summary_.version = fmt::format("{}.{}", major, minor_);
  if (major != 1 || minor_ < 12 || minor_ > 16) {
    Unreadable(fmt::format("archive version {} is not known", summary_.version));
    return true;
  }
  int_size_ = reader.Byte();
  offset_size_ = reader.Byte();
  const int format = reader.Byte();
  if (!reader.Ok()) return false;
  if (int_size_ < 1 || int_size_ > 8 || offset_size_ < 1 || offset_size_ > 8) {
    status = Broken("sizes of numbers in the header make no sense");
    return false;
  }
  if (format != kFormatCustom) {
    Unreadable("the archive is not in custom format");
    return true;
  }
  reader.SetIntSize(int_size_);
  const int64_t compression = minor_ >= 15 ? reader.Byte() : reader.Int();
  for (int i = 0; i < 7; ++i) reader.Int();  // when it was made
  const auto database = reader.Text(), server = reader.Text(), dump = reader.Text();
  if (reader.Bad()) status = Broken("the header");
  if (!reader.Ok()) return false;
  summary_.database = std::string(database.value_or(""));
  summary_.server_version = std::string(server.value_or(""));
  summary_.dump_version = std::string(dump.value_or(""));
  if (compression != 0) {
    Unreadable("the archive is compressed");
    return true;
  }
  front_at_ = reader.Used();
  state_ = State::kContents;
  return true;
}

bool ArchiveStream::Impl::ParseEntry(Status& status) {
  Reader reader(std::string_view(front_).substr(front_at_), int_size_);
  if (!count_read_) {
    entries_left_ = reader.Int();
    if (reader.Bad() || entries_left_ < 0) status = Broken("the number of entries makes no sense");
    if (!reader.Ok() || !status.ok()) return false;
    summary_.entries = entries_left_;
    count_read_ = true;
    front_at_ += reader.Used();
    if (entries_left_ == 0) state_ = State::kBlockType;
    return true;
  }
  const int64_t id = reader.Int();
  const bool has_data = reader.Int() != 0;
  reader.Text(), reader.Text();  // catalogue and object ids
  const auto tag = reader.Text(), description = reader.Text();
  reader.Int();  // section
  const auto definition = reader.Text();
  reader.Text();  // drop statement
  const auto copy = reader.Text(), schema = reader.Text();
  reader.Text();                    // tablespace
  if (minor_ >= 14) reader.Text();  // access method
  if (minor_ >= 16) reader.Int();   // relkind
  reader.Text(), reader.Text();     // owner, "with oids"
  while (reader.Ok() && reader.Text().has_value()) {
  }                                                     // dependencies, up to a null
  reader.Bytes(1 + static_cast<size_t>(offset_size_));  // position of the data, not set in a stream
  if (reader.Bad()) status = Broken("an entry of the table of contents");
  if (!reader.Ok()) return false;
  front_at_ += reader.Used();
  if (on_entry_) {
    on_entry_({id, std::string(description.value_or("")), std::string(schema.value_or("")),
               std::string(tag.value_or(""))});
  }

  if (description == "MATERIALIZED VIEW DATA") {
    summary_.refreshes.push_back(
        {std::string(schema.value_or(std::string_view())), std::string(tag.value_or(std::string_view()))});
  } else {
    summary_.other_entries.push_back(id);
  }
  if (description == "SEQUENCE SET") {
    ArchiveSequence sequence;
    sequence.schema = std::string(schema.value_or(std::string_view()));
    sequence.name = std::string(tag.value_or(std::string_view()));
    if (ReadSetvalStatement(definition.value_or(std::string_view()), sequence)) {
      summary_.sequences.push_back(std::move(sequence));
    }
  }
  if (has_data) {
    DataEntry entry;
    const std::string_view what = description.value_or(std::string_view());
    entry.title =
        fmt::format("{} {}.{}", what, schema.value_or(std::string_view()), tag.value_or(std::string_view()));
    if (what == "TABLE DATA") {
      entry.copy = copy.has_value() && copy->substr(0, 5) == "COPY ";
      entry.table = static_cast<int>(summary_.tables.size());
      ArchiveTable table;
      table.schema = std::string(schema.value_or(std::string_view()));
      table.name = std::string(tag.value_or(std::string_view()));
      if (entry.copy) table.columns = ColumnsOfCopyStatement(*copy);
      summary_.tables.push_back(std::move(table));
    }
    if (!data_.emplace(id, std::move(entry)).second) {
      status = Broken("two entries of the table of contents have one number");
      return false;
    }
  }
  if (--entries_left_ == 0) state_ = State::kBlockType;
  return true;
}

// True once a whole number was taken, however it was cut.
bool ArchiveStream::Impl::TakeInt(const char*& data, const char* end, int64_t& value) {
  const int need = int_size_ + 1;
  const unsigned char* bytes;
  if (int_have_ == 0 && end - data >= need) {
    bytes = reinterpret_cast<const unsigned char*>(data);
    data += need;
  } else {
    while (int_have_ < need && data != end) int_bytes_[int_have_++] = static_cast<unsigned char>(*data++);
    if (int_have_ < need) return false;
    int_have_ = 0;
    bytes = int_bytes_;
  }
  uint64_t magnitude = 0;
  for (int i = int_size_; i > 0; --i) magnitude = magnitude << 8 | bytes[i];
  magnitude &= INT64_MAX;
  value = bytes[0] != 0 ? -static_cast<int64_t>(magnitude) : static_cast<int64_t>(magnitude);
  return true;
}

Status ArchiveStream::Impl::FeedData(const char* data, const char* end) {
  int64_t value = 0;
  while (data != end) {
    switch (state_) {
      case State::kChunk: {
        const size_t size = static_cast<size_t>(std::min<int64_t>(chunk_left_, end - data));
        RETURN_IF_ERROR(TakeChunk(data, size));
        data += size;
        chunk_left_ -= static_cast<int64_t>(size);
        if (chunk_left_ == 0) state_ = State::kChunkLength;
        break;
      }
      case State::kChunkLength:
        if (!TakeInt(data, end, value)) return OkStatus();
        RETURN_IF_ERROR(OpenChunk(value));
        break;
      case State::kObjectId:
        if (!TakeInt(data, end, value)) return OkStatus();
        RETURN_IF_ERROR(OpenObject(value));
        break;
      case State::kBlockType:
        block_type_ = static_cast<unsigned char>(*data++);
        if (block_type_ != kBlockData && block_type_ != kBlockLargeObjects) {
          return Broken(fmt::format("a block of unknown type {}", block_type_));
        }
        state_ = State::kBlockId;
        break;
      case State::kBlockId:
        if (!TakeInt(data, end, value)) return OkStatus();
        RETURN_IF_ERROR(OpenBlock(value));
        break;
      default:
        return Broken("internal state");
    }
  }
  return OkStatus();
}

Status ArchiveStream::Impl::OpenBlock(int64_t id) {
  const auto found = data_.find(id);
  if (found == data_.end()) return Broken(fmt::format("a data block {} that no entry names", id));
  block_ = &found->second;
  if (block_->seen) return Broken(fmt::format("a second data block of {}", block_->title));
  block_->seen = true;
  if (block_type_ == kBlockData) {
    rows_ = RowDigest(mode_);
    state_ = State::kChunkLength;
  } else {
    state_ = State::kObjectId;
  }
  return OkStatus();
}

Status ArchiveStream::Impl::OpenObject(int64_t oid) {
  if (oid == 0) {
    state_ = State::kBlockType;
    return OkStatus();
  }
  // An oid above 2^31 was written through a signed int.
  objects_.Begin(static_cast<uint32_t>(oid));
  state_ = State::kChunkLength;
  return OkStatus();
}

Status ArchiveStream::Impl::OpenChunk(int64_t length) {
  if (length < 0 || length > INT32_MAX)
    return Broken(fmt::format("a length of {} in {}", length, block_->title));
  if (length == 0) return CloseData();
  chunk_left_ = length;
  state_ = State::kChunk;
  return OkStatus();
}

Status ArchiveStream::Impl::CloseData() {
  if (block_type_ == kBlockLargeObjects) {
    objects_.End();
    state_ = State::kObjectId;
    return OkStatus();
  }
  state_ = State::kBlockType;
  ++tables_done_;
  if (!block_->copy) return OkStatus();
  if (!rows_.Ended()) return Broken(fmt::format("{} does not end with COPY's end marker", block_->title));
  ArchiveTable& table = summary_.tables[static_cast<size_t>(block_->table)];
  table.covered = true;
  table.rows = rows_.Rows();
  if (mode_ == RowDigest::Mode::kHash) table.content_hash = rows_.Sum();
  return OkStatus();
}

Status ArchiveStream::Impl::TakeChunk(const char* data, size_t size) {
  if (block_type_ == kBlockLargeObjects) {
    objects_.Feed(data, size);
  } else if (block_->copy && !rows_.Feed(data, size)) {
    return Broken(fmt::format("{} goes on after COPY's end marker", block_->title));
  }
  return OkStatus();
}

Status ArchiveStream::Impl::Finish() {
  if (!failure_.ok()) return failure_;
  if (state_ == State::kUnreadable) return OkStatus();
  if (state_ == State::kHeader) return Broken("it ends inside its header");
  if (state_ == State::kContents) return Broken("it ends inside its table of contents");
  if (state_ != State::kBlockType) {
    return Broken(block_ == nullptr ? "it ends inside a block"
                                    : fmt::format("it ends inside {}", block_->title));
  }
  int64_t missing = 0;
  const DataEntry* first = nullptr;
  for (const auto& item : data_) {
    if (item.second.seen) continue;
    ++missing;
    if (first == nullptr || item.second.title < first->title) first = &item.second;
  }
  if (missing > 0) {
    return Broken(
        fmt::format("{} of {} data blocks are missing, among them {}", missing, data_.size(), first->title));
  }
  summary_.large_objects = objects_.Count();
  summary_.large_object_bytes = objects_.Bytes();
  if (mode_ == RowDigest::Mode::kHash) summary_.large_object_hash = objects_.Sum();
  return OkStatus();
}

ArchiveStream::ArchiveStream(RowDigest::Mode mode) : impl_(std::make_unique<Impl>(mode)) {}
ArchiveStream::~ArchiveStream() = default;
Status ArchiveStream::Feed(std::string_view bytes) { return impl_->Feed(bytes); }
Status ArchiveStream::Finish() { return impl_->Finish(); }
bool ArchiveStream::Readable() const { return impl_->readable_; }
std::string ArchiveStream::Why() const { return impl_->why_; }
bool ArchiveStream::ContentsKnown() const { return impl_->ContentsKnown(); }
const ArchiveSummary& ArchiveStream::Summary() const { return impl_->summary_; }
void ArchiveStream::OnEntry(std::function<void(ArchiveEntry)> on_entry) {
  impl_->on_entry_ = std::move(on_entry);
}

bool ArchiveStream::ContentsRead() const { return impl_->ContentsRead(); }

int64_t ArchiveStream::TablesDone() const { return impl_->tables_done_; }

}  // namespace salvor::agent
