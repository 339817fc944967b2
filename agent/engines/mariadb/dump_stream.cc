#include "agent/engines/mariadb/dump_stream.h"

#include <xxhash.h>

#include <charconv>
#include <cstring>

namespace salvor::agent {
namespace {

constexpr size_t kMostHeader = size_t{1} << 20;  // "INSERT INTO `t` (`a`, …) VALUES"
constexpr size_t kKeptOfLine = 4096;             // of a line that is neither
constexpr std::string_view kInsert = "INSERT INTO `";
constexpr std::string_view kCompleted = "-- Dump completed";

class Sum {
 public:
  void Add(XXH128_hash_t hash) {
    low_ += hash.low64;
    high_ += hash.high64 + (low_ < hash.low64 ? 1 : 0);
    ++rows_;
  }
  int64_t Rows() const { return rows_; }
  std::string Bytes() const {
    std::string bytes;
    for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>((high_ >> shift) & 0xff);
    for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>((low_ >> shift) & 0xff);
    return bytes;
  }

 private:
  uint64_t low_ = 0, high_ = 0;
  int64_t rows_ = 0;
};

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

// The name that begins behind the backtick at `at`; `at` is behind its end afterwards. Nothing closes it: npos.
std::string Unquote(std::string_view text, size_t* at) {
  std::string name;
  for (size_t i = *at + 1; i < text.size(); ++i) {
    if (text[i] == '`') {
      if (i + 1 >= text.size() || text[i + 1] != '`') {
        *at = i + 1;
        return name;
      }
      ++i;
    }
    name += text[i];
  }
  *at = std::string_view::npos;
  return name;
}

}  // namespace

std::string HashOfNoRows() { return Sum().Bytes(); }

struct MariadbDumpStream::State {
  enum class Where { kLine, kHeader, kRow };

  State() : hasher(XXH3_createState()) {}
  ~State() { XXH3_freeState(hasher); }

  Status Feed(std::string_view bytes);
  size_t FeedLine(std::string_view bytes);
  size_t FeedHeader(std::string_view bytes);
  size_t FeedRow(std::string_view bytes);
  void EndLine();
  void EndHeader();
  void EndRow(std::string_view rest);
  void ReadPosition();

  Where where = Where::kLine;
  std::string line;        // the beginning of the line; the INSERT's header
  bool in_name = false;    // the header is inside of backticks
  bool in_body = false;    // between DELIMITER ;; and DELIMITER ;, where anything may stand
  bool completed = false;  // the last line was the last of a whole dump
  std::string problem;     // why it can't be read
  std::string database;
  Sum* table = nullptr;  // of the INSERT
  std::map<DatabaseAndTable, Sum> tables;
  int64_t rows = 0;
  XXH3_state_t* const hasher;
  bool carried = false;  // a part of the row is in the hasher already
  char held = 0;         // its last byte, which may be what separates it from the next
  bool has_held = false;
  std::string binlog_file;
  int64_t binlog_position = 0;
};

Status MariadbDumpStream::State::Feed(std::string_view bytes) {
  while (!bytes.empty() && problem.empty()) {
    size_t taken = 0;
    switch (where) {
      case Where::kLine:
        taken = FeedLine(bytes);
        break;
      case Where::kHeader:
        taken = FeedHeader(bytes);
        break;
      case Where::kRow:
        taken = FeedRow(bytes);
        break;
    }
    bytes.remove_prefix(taken);
  }
  return problem.empty() ? OkStatus() : DataLoss("the dump can't be read: {}", problem);
}

size_t MariadbDumpStream::State::FeedLine(std::string_view bytes) {
  const void* found = std::memchr(bytes.data(), '\n', bytes.size());
  const size_t size =
      found == nullptr ? bytes.size() : static_cast<size_t>(static_cast<const char*>(found) - bytes.data());
  // The beginning of an INSERT has to be known before its line is over: rows may follow on it.
  if (!in_body && line.size() < kInsert.size()) {
    const size_t missing = std::min(kInsert.size() - line.size(), size);
    line.append(bytes.substr(0, missing));
    if (line == kInsert) {
      where = Where::kHeader;
      in_name = true;
      return missing;
    }
    if (missing < size) return missing;  // the rest of the line comes next
    if (found == nullptr) return missing;
    EndLine();
    return missing + 1;
  }
  if (line.size() < kKeptOfLine) line.append(bytes.substr(0, std::min(size, kKeptOfLine - line.size())));
  if (found == nullptr) return size;
  EndLine();
  return size + 1;
}

void MariadbDumpStream::State::EndLine() {
  if (!line.empty()) completed = false;
  if (in_body) {
    if (line == "DELIMITER ;") in_body = false;
  } else if (line == "DELIMITER ;;") {
    in_body = true;
  } else if (StartsWith(line, "USE `")) {
    size_t at = 4;
    database = Unquote(line, &at);
  } else if (StartsWith(line, kCompleted)) {
    completed = true;
  } else if (StartsWith(line, "-- CHANGE MASTER TO MASTER_LOG_FILE='")) {
    ReadPosition();
  }
  line.clear();
}

void MariadbDumpStream::State::ReadPosition() {
  const size_t begin = line.find('\'') + 1, end = line.find('\'', begin);
  const std::string_view key = "MASTER_LOG_POS=";
  const size_t position = line.find(key);
  if (end == std::string::npos || position == std::string::npos) return;
  binlog_file = line.substr(begin, end - begin);
  std::from_chars(line.data() + position + key.size(), line.data() + line.size(), binlog_position);
}

size_t MariadbDumpStream::State::FeedHeader(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    line += c;
    if (c == '`') {
      in_name = !in_name;  // a doubled one ends and begins
    } else if (!in_name && (c == '\n' || c == ' ')) {
      const std::string_view word = " VALUES";
      if (line.size() > word.size() + 1 &&
          std::string_view(line).substr(line.size() - 1 - word.size(), word.size()) == word) {
        EndHeader();
        return i + 1;
      }
    }
    if (line.size() > kMostHeader) {
      problem = "an INSERT without VALUES";
      return i + 1;
    }
  }
  return bytes.size();
}

void MariadbDumpStream::State::EndHeader() {
  size_t at = kInsert.size() - 1;
  const std::string name = Unquote(line, &at);
  table = &tables[{database, name}];
  line.clear();
  completed = false;
  carried = has_held = false;
  where = Where::kRow;
}

size_t MariadbDumpStream::State::FeedRow(std::string_view bytes) {
  const void* found = std::memchr(bytes.data(), '\n', bytes.size());
  if (found == nullptr) {
    if (!carried) XXH3_128bits_reset(hasher);
    if (!carried && bytes.front() != '(') problem = "a row does not begin with a parenthesis";
    if (has_held) XXH3_128bits_update(hasher, &held, 1);
    XXH3_128bits_update(hasher, bytes.data(), bytes.size() - 1);
    held = bytes.back();
    carried = has_held = true;
    return bytes.size();
  }
  const auto size = static_cast<size_t>(static_cast<const char*>(found) - bytes.data());
  EndRow(bytes.substr(0, size));
  return size + 1;
}

// `rest` is the row, or what was missing of it, with what separates it from the next.
void MariadbDumpStream::State::EndRow(std::string_view rest) {
  char last = 0;
  if (!carried) {
    if (rest.size() < 3 || rest.front() != '(') {
      problem = "a row does not begin with a parenthesis";
      return;
    }
    last = rest.back();
    table->Add(XXH3_128bits(rest.data(), rest.size() - 1));
  } else {
    if (rest.empty()) {
      last = held;
    } else {
      XXH3_128bits_update(hasher, &held, 1);
      XXH3_128bits_update(hasher, rest.data(), rest.size() - 1);
      last = rest.back();
    }
    table->Add(XXH3_128bits_digest(hasher));
  }
  ++rows;
  carried = has_held = false;
  if (last == ';') {
    where = Where::kLine;
  } else if (last != ',') {
    problem = "a row ends in neither a comma nor a semicolon";
  }
}

MariadbDumpStream::MariadbDumpStream() : state_(std::make_unique<State>()) {}
MariadbDumpStream::~MariadbDumpStream() = default;

Status MariadbDumpStream::Feed(std::string_view bytes) { return state_->Feed(bytes); }

Status MariadbDumpStream::Finish() {
  if (!state_->problem.empty()) return DataLoss("the dump can't be read: {}", state_->problem);
  if (state_->where == State::Where::kLine && !state_->line.empty()) state_->EndLine();
  if (state_->where != State::Where::kLine || state_->in_body || !state_->completed)
    return DataLoss("the dump ends in the middle: its last line does not say that it was completed");
  return OkStatus();
}

std::map<DatabaseAndTable, DumpedRows> MariadbDumpStream::Tables() const {
  std::map<DatabaseAndTable, DumpedRows> found;
  for (const auto& [name, sum] : state_->tables) found[name] = {sum.Rows(), sum.Bytes()};
  return found;
}

int64_t MariadbDumpStream::Rows() const { return state_->rows; }
const std::string& MariadbDumpStream::BinlogFile() const { return state_->binlog_file; }
int64_t MariadbDumpStream::BinlogPosition() const { return state_->binlog_position; }

}  // namespace salvor::agent
