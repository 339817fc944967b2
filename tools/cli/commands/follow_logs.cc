#include "tools/cli/commands/follow_logs.h"

#include <absl/time/clock.h>
#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "base/io/yaml/render.h"
#include "proto/phase.h"
#include "tools/cli/commands/wait.h"
#include "tools/cli/render/render_run.h"
#include "tools/cli/terminal/text_layout.h"
#include "tools/cli/words/words.h"

namespace salvor::cli {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);
constexpr absl::Duration kStreamLife = absl::Hours(1);
constexpr absl::Duration kReadLife = absl::Minutes(10);  // without --follow: all there is, in this time
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(200);
constexpr absl::Duration kLongestBackoff = absl::Seconds(2);

class LogReader {
 public:
  LogReader(Context& context, Client& client, const LogOptions& options)
      : context_(context), client_(client), options_(options), interrupt_(context.environment()) {
    request_.set_name(options.run);
    request_.set_step(options.step);
    request_.set_follow(options.follow);
  }

  // OK when all was printed; Cancelled by Ctrl-C.
  Status Read() {
    absl::Duration backoff = kFirstBackoff;
    bool told = false;
    while (true) {
      heard_ = false;
      const Status ended = ReadOnce();
      if (interrupt_.Raised()) return Cancelled("interrupted");
      if (ended.ok() && !(options_.follow && RunGoesOn())) return ended;
      if (!options_.follow || !IsPassing(ended)) return client_.Explain(ended);
      if (heard_) {
        backoff = kFirstBackoff;
        told = false;
      }
      if (!told && ended.code() == absl::StatusCode::kUnavailable) {
        context_.err() << "control plane not reachable at " << client_.server() << ", waiting\n"
                       << std::flush;
        told = true;
      }
      const absl::Time until = absl::Now() + backoff;
      while (absl::Now() < until && !interrupt_.Raised())
        absl::SleepFor(std::min(kTick, until - absl::Now()));
      backoff = std::min(backoff * 2, kLongestBackoff);
    }
  }

 private:
  // A control plane that stops ends its streams as if all had been said.
  bool RunGoesOn() {
    v1::GetRunRequest request;
    request.set_name(options_.run);
    const StatusOr<v1::Run> run = client_.Call(&ControlStub::GetRun, request);
    return run.ok() ? !IsAtRest(run->phase()) : IsPassing(run.status());
  }

  Status ReadOnce() {
    seen_.StartOver();
    const std::unique_ptr<LogStream> stream =
        client_.GetRunLogs(request_, options_.follow ? kStreamLife : kReadLife);
    while (!interrupt_.Raised()) {
      v1::LogLines lines;
      switch (stream->Next(kTick, &lines)) {
        case LogStream::Got::kEnd:
          return stream->status();
        case LogStream::Got::kNothingYet:
          break;
        case LogStream::Got::kMessage:
          RETURN_IF_ERROR(PrintLines(lines));
          break;
      }
    }
    return OkStatus();
  }

  Status PrintLines(const v1::LogLines& lines) {
    heard_ = true;
    const Style style = context_.OutStyle(options_.output == "wide");
    for (const v1::LogLine& line : lines.lines()) {
      // A stream with a cursor brings only what is new; a control plane of 0.1 has none.
      if (options_.follow && lines.next() == 0 && !seen_.Take(lines, line)) continue;
      if (options_.output != "json") {
        context_.out() << RenderLogLine(lines, line, !options_.step.empty(), style);
        continue;
      }
      v1::LogLines one = lines;
      one.clear_lines();
      one.clear_next();
      *one.add_lines() = line;
      context_.out() << RenderJson(one, false) << "\n";
    }
    context_.out().flush();
    if (lines.next() > 0) request_.set_after(lines.next());
    return OkStatus();
  }

  Context& context_;
  Client& client_;
  const LogOptions& options_;
  InterruptScope interrupt_;
  v1::GetRunLogsRequest request_;
  SeenLines seen_;
  bool heard_ = false;
};

}  // namespace

bool SeenLines::Take(const v1::LogLines& lines, const v1::LogLine& line) {
  const std::string all = fmt::format("{}\n{}\n{}.{}\n{}\n{}", lines.step(), lines.attempt(),
                                      line.at().seconds(), line.at().nanos(), line.source(), line.text());
  const uint64_t hash = std::hash<std::string>()(all);
  const int now = ++in_this_stream_[hash];
  int& before = seen_[hash];
  if (now <= before) return false;
  before = now;
  return true;
}

ExitCode FollowLogs(Context& context, const LogOptions& options) {
  const std::string what = "read the logs of " + options.run;
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail(what, client.status());
  LogReader reader(context, **client, options);
  const Status status = reader.Read();
  if (status.ok()) return ExitCode::kOk;
  if (status.code() != absl::StatusCode::kCancelled) return context.Fail(what, status);
  context.err() << "\nstopped reading; come back with: salvor run logs " << CleanText(options.run) << " -f\n"
                << std::flush;
  return ExitCode::kInterrupted;
}

}  // namespace salvor::cli
