#include "agent/engines/action/run_program.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <future>
#include <thread>

#include "base/io/mutex.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr size_t kMostLogLines = 2000;
constexpr size_t kShortestSecret = 4;  // anything shorter stands in every other word
constexpr absl::Duration kEventsAfterEnd = absl::Seconds(2);
constexpr int kLookEvery_ms = 100;
constexpr char kProducer[] = "salvor:action";  // argv[0] of the side of a pipe that the program is

struct Ends {
  UniqueFd read, write;
};

StatusOr<Ends> MakePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus(errno, "make a pipe");
  return Ends{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// What the program prints, into the run's log, and no more of it than a person would read.
class OutputLog {
 public:
  OutputLog(std::string source, const SecretCleaner& cleaner, const ActionContext& context)
      : source_(std::move(source)), cleaner_(cleaner), context_(context) {}

  void Line(std::string_view line) {
    if (++lines_ > kMostLogLines + 1 || !context_.log) return;
    context_.log(source_,
                 lines_ <= kMostLogLines
                     ? cleaner_.Clean(line)
                     : fmt::format("(it prints more than {} lines: the rest is left out)", kMostLogLines));
  }

 private:
  const std::string source_;
  const SecretCleaner& cleaner_;
  const ActionContext& context_;
  size_t lines_ = 0;
};

// The program, and everybody who waits for its end. It is started once all who read a stream of it are there.
class SharedProgram {
 public:
  SharedProgram(ActionRun& run, const SecretCleaner& cleaner, ActionContext& context)
      : run_(run),
        cleaner_(cleaner),
        context_(context),
        log_(run.program->Name(), cleaner, context),
        events_(std::make_unique<ActionEvents>(
            run.request.verb, [&cleaner](std::string_view text) { return cleaner.Clean(text); })),
        deadline_(std::min(context.deadline, SteadyNow() + run.timeout)),
        missing_(run.consumers.size()),
        result_(promise_.get_future()) {}

  ~SharedProgram() {
    if (thread_.joinable()) thread_.join();
  }

  SteadyTime Deadline() const { return deadline_; }
  std::unique_ptr<ActionEvents> TakeEvents() { return std::move(events_); }
  const ActionEvents& Events() const { return *events_; }  // once it has ended

  // The reader of a stream is there, and has given the end that the program writes.
  void Join(const std::string& stream, UniqueFd output) {
    MutexLock lock(mutex_);
    if (over_) return;  // given up: the reader sees the end of nothing
    outputs_[stream] = std::move(output);
    if (--missing_ == 0) StartLocked();
  }
  void StartAlone() {
    MutexLock lock(mutex_);
    StartLocked();
  }

  // A reader could not be there: the program is not started, and the others are let go.
  void GiveUp(const Status& why) {
    MutexLock lock(mutex_);
    if (over_) return;
    over_ = true;
    outputs_.clear();
    promise_.set_value(why);
  }

  const StatusOr<ExitStatus>& Await() const { return result_.get(); }

  // `stream` is whose reader wants it: the first to ask knows why.
  void Stop(const std::string& stream) {
    MutexLock lock(mutex_);
    if (stopped_for_.empty()) stopped_for_ = stream;
    if (tool_ != nullptr) tool_->Stop();
  }
  std::string StoppedFor() {
    MutexLock lock(mutex_);
    return stopped_for_;
  }

 private:
  void StartLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    over_ = true;
    std::map<std::string, UniqueFd> outputs = std::move(outputs_);
    thread_ = std::thread(
        [this, outputs = std::move(outputs)]() mutable { promise_.set_value(Run(std::move(outputs))); });
  }

  StatusOr<ExitStatus> Run(std::map<std::string, UniqueFd> outputs) {
    ASSIGN_OR_RETURN(Ends pipe, MakePipe());
    ASSIGN_OR_RETURN(ProcessSpec spec, Spec(std::move(outputs), std::move(pipe.write)));
    auto started = context_.tools.Start(std::move(spec));
    if (!started.ok()) return WithContext(started.status(), "start program " + run_.program->Name());
    std::atomic<bool> ended = false;
    {
      MutexLock lock(mutex_);
      tool_ = *std::move(started);
      if (!stopped_for_.empty()) tool_->Stop();
    }
    std::thread reader([this, &ended, from = pipe.read.Get()] { ReadEvents(from, ended); });
    const StatusOr<ExitStatus> exit = tool_->Wait(context_.stop, deadline_);
    ended = true;
    reader.join();
    return Judge(exit);
  }

  StatusOr<ProcessSpec> Spec(std::map<std::string, UniqueFd> outputs, UniqueFd events) {
    ProcessSpec spec;
    RETURN_IF_ERROR(run_.program->PassTo(&spec));
    spec.passed.push_back({std::move(events), kEventsDescriptor});
    int number = kFirstStreamDescriptor;
    for (auto& [name, output] : outputs) {
      run_.request.streams[name] = number;
      spec.passed.push_back({std::move(output), number++});
    }
    run_.request.deadline_s =
        std::max<int64_t>(0, absl::ToInt64Seconds(std::min(deadline_ - SteadyNow(), absl::Hours(24 * 365))));
    ASSIGN_OR_RETURN(spec.input, MemoryFile(ToJson(run_.request)));
    spec.working_directory = run_.directory;
    spec.environment = {{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                        {"HOME", run_.request.work},
                        {"TMPDIR", run_.request.work + "/tmp"},
                        {"SALVOR_CONTRACT", std::to_string(kActionContract)},
                        {"SALVOR_EVENTS_FD", std::to_string(kEventsDescriptor)}};
    spec.on_output_line = [this](std::string_view line) { log_.Line(line); };
    spec.on_error_line = spec.on_output_line;
    return run_.enclose(std::move(spec));
  }

  // To the end of the events, or until the program has ended and somebody else still has that descriptor.
  void ReadEvents(int from, const std::atomic<bool>& ended) {
    std::optional<SteadyTime> until;
    char bytes[16384];
    while (!until.has_value() || SteadyNow() < *until) {
      if (ended && !until.has_value()) until = SteadyNow() + kEventsAfterEnd;
      pollfd polled{from, POLLIN, 0};
      if (::poll(&polled, 1, kLookEvery_ms) <= 0) continue;
      const ssize_t got = ::read(from, bytes, sizeof bytes);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return;
      Read({bytes, static_cast<size_t>(got)});
    }
  }

  void Read(std::string_view bytes) {
    if (!broken_.ok()) return;  // read all the same: it must not wait for us
    broken_ = events_->Add(bytes);
    if (!broken_.ok()) Stop("its events");
    const auto progress = events_->TakeProgress();
    if (!progress.has_value() || !context_.progress) return;
    v1::Progress told;
    told.set_bytes_done(progress->bytes_done);
    told.set_bytes_total(progress->bytes_total);
    told.set_message(progress->message);
    context_.progress(told);
  }

  Status Broken(const Status& how) const {
    return WithHint(Internal("program {} does not keep the action contract: {}", run_.program->Name(),
                             cleaner_.Clean(MessageOf(how))),
                    "Mend the program: docs/reference/action-contract.md says what it may tell.");
  }

  // The error that its end is; OK means that it exited 0 and told all.
  StatusOr<ExitStatus> Judge(const StatusOr<ExitStatus>& exit) {
    const std::string& name = run_.program->Name();
    if (!exit.ok())
      return WithHint(MakeStatus(exit.status().code(), fmt::format("program {}: {}", name,
                                                                   cleaner_.Clean(MessageOf(exit.status())))),
                      HintOf(exit.status()));
    if (!broken_.ok()) return Broken(broken_);
    if (exit->Ok()) {
      if (const Status whole = events_->Finish(); !whole.ok()) return Broken(whole);
      return *exit;
    }
    const auto& told = events_->error();
    const std::string tail = cleaner_.Clean(RootCause(exit->error_tail));
    const std::string why = told.has_value() ? told->message : !tail.empty() ? tail : "it does not say why";
    return WithHint(
        MakeStatus(CodeOf(*exit), fmt::format("program {}: {} ({})", name, why, exit->Describe())),
        told.has_value() ? told->hint : "");
  }

  static absl::StatusCode CodeOf(const ExitStatus& exit) {
    if (exit.signal != 0) return absl::StatusCode::kAborted;
    if (exit.code == kExitTemporary) return absl::StatusCode::kUnavailable;
    return exit.code == kExitDamaged ? absl::StatusCode::kDataLoss : absl::StatusCode::kInternal;
  }

  ActionRun& run_;
  const SecretCleaner& cleaner_;
  ActionContext& context_;
  OutputLog log_;
  std::unique_ptr<ActionEvents> events_;
  const SteadyTime deadline_;
  Status broken_ = OkStatus();  // of the reading thread, until it has ended
  Mutex mutex_;
  size_t missing_ ABSL_GUARDED_BY(mutex_);
  bool over_ ABSL_GUARDED_BY(mutex_) = false;  // started, or given up
  std::map<std::string, UniqueFd> outputs_ ABSL_GUARDED_BY(mutex_);
  std::string stopped_for_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<RunningTool> tool_;  // set under the mutex, once
  std::promise<StatusOr<ExitStatus>> promise_;
  std::shared_future<StatusOr<ExitStatus>> result_;
  std::thread thread_;
};

// The program as the producer of one of its streams.
class StreamProducer final : public RunningTool {
 public:
  StreamProducer(SharedProgram& program, std::string stream)
      : program_(program), stream_(std::move(stream)) {}

  StatusOr<ExitStatus> Wait(const std::stop_token&, SteadyTime) override { return program_.Await(); }
  void ReleaseInput() override {}
  void Stop() override { program_.Stop(stream_); }
  Status ErrorOf(const ExitStatus& status) const override {
    return Internal("the program ended with {}", status.Describe());
  }

 private:
  SharedProgram& program_;
  const std::string stream_;
};

// Runs the reader of a stream as ever, and joins the program for the other side.
class StreamTools final : public ToolRunner {
 public:
  StreamTools(SharedProgram& program, std::string stream, ToolRunner& tools)
      : program_(program), stream_(std::move(stream)), tools_(tools) {}

  StatusOr<std::unique_ptr<RunningTool>> Start(ProcessSpec spec) override {
    if (spec.argv.front() != kProducer) {
      auto consumer = tools_.Start(std::move(spec));
      if (!consumer.ok()) program_.GiveUp(consumer.status());
      return consumer;
    }
    program_.Join(stream_, std::move(spec.output));
    return std::unique_ptr<RunningTool>(std::make_unique<StreamProducer>(program_, stream_));
  }

 private:
  SharedProgram& program_;
  const std::string stream_;
  ToolRunner& tools_;
};

// Holds a stream to what the program told of it.
class StreamJudge final : public StreamObserver {
 public:
  StreamJudge(const SharedProgram& program, std::string stream)
      : program_(program), stream_(std::move(stream)) {}

  Status OnBytes(std::string_view bytes) override {
    bytes_ += static_cast<int64_t>(bytes.size());
    return OkStatus();
  }
  Status OnEnd() override {
    const ActionArtifact* told = program_.Events().FindArtifact(stream_);
    if (told == nullptr || !told->stream)
      return Internal("artifact {}: the program ended without a word of its stream", stream_);
    if (told->bytes == bytes_) return OkStatus();
    return Internal("artifact {}: the program told of {} bytes and wrote {}", stream_, told->bytes, bytes_);
  }

 private:
  const SharedProgram& program_;
  const std::string stream_;
  int64_t bytes_ = 0;
};

StatusOr<PipeOutcome> RunStream(SharedProgram& program, const std::string& stream, ProcessSpec consumer,
                                ActionContext& context) {
  StreamTools tools(program, stream, context.tools);
  StreamJudge judge(program, stream);
  PipeOptions options;
  options.observer = &judge;
  ProcessSpec producer;
  producer.argv = {kProducer};
  auto outcome =
      RunPipe(tools, std::move(producer), std::move(consumer), options, context.stop, program.Deadline());
  if (!outcome.ok()) program.GiveUp(outcome.status());
  return outcome;
}

}  // namespace

SecretCleaner::SecretCleaner(const std::map<std::string, std::string>& secrets) {
  for (const auto& [name, value] : secrets) {
    if (value.size() >= kShortestSecret) secrets_.push_back(value);
  }
  std::sort(secrets_.begin(), secrets_.end(),
            [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
}

std::string SecretCleaner::Clean(std::string_view text) const {
  std::string clean(text);
  for (const std::string& secret : secrets_) {
    for (size_t at = clean.find(secret); at != std::string::npos; at = clean.find(secret, at + 3))
      clean.replace(at, secret.size(), "***");
  }
  return CleanText(clean);
}

StatusOr<ActionOutcome> RunAction(ActionRun run, ActionContext& context) {
  const SecretCleaner cleaner(run.request.secrets);
  std::map<std::string, ProcessSpec> consumers = std::exchange(run.consumers, {});
  std::vector<std::string> names;
  for (const auto& [name, consumer] : consumers) names.push_back(name);
  for (const std::string& name : names) run.consumers[name];  // how many there are
  SharedProgram program(run, cleaner, context);
  std::map<std::string, std::future<StatusOr<PipeOutcome>>> readers;
  for (auto& [name, consumer] : consumers) {
    readers[name] = std::async(std::launch::async,
                               [&program, &context, stream = name, reader = std::move(consumer)]() mutable {
                                 return RunStream(program, stream, std::move(reader), context);
                               });
  }
  if (names.empty()) program.StartAlone();

  ActionOutcome outcome;
  std::map<std::string, Status> failed;
  for (auto& [name, reader] : readers) {
    StatusOr<PipeOutcome> piped = reader.get();
    if (piped.ok()) {
      outcome.streams[name] = *std::move(piped);
    } else {
      failed[name] = piped.status();
    }
  }
  // Out of time, or stopped on request: so are the readers then, and it is the program that they waited for.
  const Status& ended = program.Await().status();
  if (absl::IsDeadlineExceeded(ended) || absl::IsCancelled(ended)) return ended;
  const auto knows_why = failed.find(program.StoppedFor());
  if (knows_why != failed.end()) return knows_why->second;
  RETURN_IF_ERROR(ended);
  if (!failed.empty()) return failed.begin()->second;
  outcome.events = program.TakeEvents();
  return outcome;
}

}  // namespace salvor::agent
