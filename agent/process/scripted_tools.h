// Tools that do what a test says, where the real ones cannot be made to: a restic that dies just after it has saved, a
// program that is not installed. What no script is for is run by the tools behind. Tests only.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/process/line_splitter.h"
#include "agent/process/tool_runner.h"
#include "base/io/mutex.h"

namespace salvor::agent {

struct ToolScript {
  Status start = OkStatus();  // else it never starts
  bool really = false;        // the tool behind does its work first; its end is then told as below
  std::string output, error;  // what it says; of a real one, what it says besides
  int code = 0, signal = 0;
  std::function<void()> at_end;  // called when it has ended and nobody knows it yet

  // The real tool's work, and another end.
  static ToolScript Really(int code, int signal = 0) {
    ToolScript script;
    script.really = true;
    script.code = code;
    script.signal = signal;
    return script;
  }
};

class ScriptedTools final : public ToolRunner {
 public:
  explicit ScriptedTools(ToolRunner& behind) : behind_(behind) {}

  // The next tool goes by this script that is called with all these words.
  void Next(std::vector<std::string> words, ToolScript script) {
    MutexLock lock(mutex_);
    scripts_.emplace_back(std::move(words), std::move(script));
  }
  // Whether every script was played.
  bool Played() {
    MutexLock lock(mutex_);
    return scripts_.empty();
  }

  StatusOr<std::unique_ptr<RunningTool>> Start(ProcessSpec spec) override {
    std::optional<ToolScript> script = Take(spec.argv);
    if (!script.has_value()) return behind_.Start(std::move(spec));
    RETURN_IF_ERROR(spec.problem);
    RETURN_IF_ERROR(script->start);
    auto tool = std::make_unique<Tool>(*std::move(script));
    RETURN_IF_ERROR(tool->Begin(behind_, std::move(spec)));
    return std::unique_ptr<RunningTool>(std::move(tool));
  }

 private:
  class Tool final : public RunningTool {
   public:
    explicit Tool(ToolScript script) : script_(std::move(script)) {}

    Status Begin(ToolRunner& behind, ProcessSpec spec) {
      argv_ = spec.argv;
      explain_ = spec.explain;
      on_error_line_ = spec.on_error_line;
      if (script_.really) {
        ASSIGN_OR_RETURN(real_, behind.Start(std::move(spec)));
        return OkStatus();
      }
      spec_ = std::move(spec);
      stop_event_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
      return stop_event_.Valid() ? OkStatus() : ErrnoStatus(errno, "make an event");
    }

    StatusOr<ExitStatus> Wait(const std::stop_token& stop, SteadyTime deadline) override {
      ExitStatus status;
      if (real_ != nullptr) {
        ASSIGN_OR_RETURN(status, real_->Wait(stop, deadline));
      } else {
        const std::stop_callback wake(stop, [this] { Stop(); });
        ReadInput();
        if (stop.stop_requested()) return Cancelled("stopped on request");
        Say(&status);
      }
      LineSplitter errors(on_error_line_);
      errors.Add(script_.error);
      errors.End();
      status.error_tail += script_.error;
      status.code = script_.code;
      status.signal = script_.signal;
      if (script_.at_end) script_.at_end();
      return status;
    }
    void ReleaseInput() override {
      if (real_ != nullptr) return real_->ReleaseInput();
      MutexLock lock(mutex_);
      spec_.spare_input.Reset();
    }
    void Stop() override {
      if (real_ != nullptr) return real_->Stop();
      const uint64_t one = 1;
      (void)!::write(stop_event_.Get(), &one, sizeof one);
    }
    Status ErrorOf(const ExitStatus& status) const override {
      return status.signal == 0 && explain_ ? explain_(status) : ProcessError(argv_, status);
    }

   private:
    // Reads to its end, or until it is stopped.
    void ReadInput() {
      char nowhere[65536];
      while (spec_.input.Valid()) {
        pollfd polled[] = {{spec_.input.Get(), POLLIN, 0}, {stop_event_.Get(), POLLIN, 0}};
        if (::poll(polled, 2, -1) < 0 && errno != EINTR) return;
        if (polled[1].revents != 0) return;
        if (polled[0].revents != 0 && ::read(spec_.input.Get(), nowhere, sizeof nowhere) <= 0) return;
      }
    }
    void Say(ExitStatus* status) {
      if (spec_.output.Valid()) {
        (void)!::write(spec_.output.Get(), script_.output.data(), script_.output.size());
        spec_.output.Reset();
      } else if (spec_.on_output_line) {
        LineSplitter lines(spec_.on_output_line);
        lines.Add(script_.output);
        lines.End();
      } else {
        status->output = script_.output;
      }
    }

    const ToolScript script_;
    std::vector<std::string> argv_;
    std::function<Status(const ExitStatus&)> explain_;
    std::function<void(std::string_view)> on_error_line_;
    std::unique_ptr<RunningTool> real_;  // null for one that is played alone
    UniqueFd stop_event_;
    Mutex mutex_;  // of the input's spare end
    ProcessSpec spec_;
  };

  std::optional<ToolScript> Take(const std::vector<std::string>& argv) {
    MutexLock lock(mutex_);
    for (auto entry = scripts_.begin(); entry != scripts_.end(); ++entry) {
      const bool all = std::all_of(entry->first.begin(), entry->first.end(), [&](const std::string& word) {
        return std::find(argv.begin(), argv.end(), word) != argv.end();
      });
      if (!all) continue;
      ToolScript script = std::move(entry->second);
      scripts_.erase(entry);
      return script;
    }
    return std::nullopt;
  }

  ToolRunner& behind_;
  Mutex mutex_;
  std::list<std::pair<std::vector<std::string>, ToolScript>> scripts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace salvor::agent
