// A driver's own program that does as it is told, a repository with a real restic, and the actions on both. Tests
// only; it needs Python.
#pragma once

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/engines/action/actions/actions.h"
#include "agent/restic/restic_testing.h"
#include "agent/scratch/scratch_places.h"
#include "agent/work/action.h"
#include "base/io/files.h"
#include "base/io/mutex.h"
#include "base/io/steady_clock.h"

namespace salvor::agent {

// The application is the text of the setting `text`; `mode` says which bad day it is.
inline constexpr char kToyProgram[] = R"py(#!/usr/bin/python3
import hashlib, json, os, signal, subprocess, sys, time

request = json.load(sys.stdin)
verb, settings, mode = request["verb"], request["settings"], request["settings"].get("mode", "")
events = os.fdopen(int(os.environ["SALVOR_EVENTS_FD"]), "w")


def tell(event, **fields):
    events.write(json.dumps({"event": event, **fields}) + "\n")
    events.flush()


def plan():
    if mode == "in-the-way" and request["operation"] == "restore":
        tell("conflict", message="there is one already")
    if mode != "nothing":
        tell("artifact", name="text", kind="file" if mode.startswith("file") else "stream")


def write(text):
    with os.fdopen(request["streams"]["text"], "wb") as stream:
        stream.write(text)


def backup():
    text = settings["text"].encode()
    print("I am", os.getuid(), sorted(os.environ), sorted(os.listdir("/proc/self/fd")), flush=True)
    if mode == "nothing":
        return
    if mode.startswith("file"):
        os.makedirs(request["work"] + "/out")
        path = request["work"] + "/out/text"
        if mode == "file-link":
            os.symlink("/etc/shadow", path)
        elif mode == "file-folder-link":
            os.rmdir(request["work"] + "/out")
            os.symlink("/etc", request["work"] + "/out")
            tell("artifact", name="text", kind="file", path="out/passwd", bytes=os.stat("/etc/passwd").st_size)
            return
        else:
            with open(path, "wb") as file:
                file.write(text)
        size = len(text) + (1 if mode == "file-lies" else 0)
        tell("artifact", name="text", kind="file", path="out/text", bytes=size)
    else:
        bad_stream(text)
    tell("expect", name="length", value=str(len(text)))
    if mode != "no-digest-kept":
        tell("expect", name="sha256", value=hashlib.sha256(text).hexdigest())


def bad_stream(text):
    if mode == "half-json":
        write(text)
        events.write('{"event": "artifact", "na')
        events.flush()
        sys.exit(0)
    if mode == "no-artifact":
        return
    if mode == "temporary" and request["attempt"] == 1:
        write(text)
        tell("error", message="the server is busy", hint="Wait.")
        sys.exit(75)
    if mode == "secrets":
        print("the password is", request["secrets"]["password"])
        print("and", request["secrets"]["password"], file=sys.stderr)
        tell("error", message="cannot log in with " + request["secrets"]["password"])
        sys.exit(1)
    if mode == "hang":
        signal.pause()
    if mode == "hang-deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()
    if mode == "flood-events":
        while True:
            tell("progress", message="x" * 900)
    if mode == "flood-logs":
        for i in range(100000):
            print("line", i)
    if mode == "escape":
        child = "import os, signal, time; os.setsid(); signal.signal(15, signal.SIG_IGN); time.sleep(3600)"
        subprocess.Popen([sys.executable, "-c", child, settings["mark"]], close_fds=False, stdin=subprocess.DEVNULL,
                         pass_fds=[request["streams"]["text"], events.fileno()])
    write(text)
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    tell("artifact", name="text", kind="stream", bytes=len(text) + (1 if mode == "lies" else 0),
         **({"sha256": "00" * 32} if mode == "lies-digest" else {}))
    if mode == "fails-late":
        sys.exit(1)


def restore():
    data = open(request["artifacts"][0]["path"], "rb").read()
    if settings.get("restore") == "damaged":
        tell("error", message="this is no text of mine")
        sys.exit(65)
    if settings.get("restore") == "shorter":
        data = data[:-1]
    if settings.get("restore") == "other":
        data = data[:-1] + b"?"
    if settings.get("restore") == "out":
        import socket
        try:
            socket.create_connection(("127.0.0.1", int(settings["port"])), 2)
            tell("warning", message="it reached the network")
        except OSError:
            tell("warning", message="there is no network")
        if os.path.exists(settings["secret"]):
            tell("warning", message="it saw a file of the host")
        if request["secrets"]:
            tell("warning", message="it got secrets")
    with open(request["work"] + "/data", "wb") as copy:
        copy.write(data)


def verify():
    data = open(request["work"] + "/data", "rb").read()
    tell("observe", name="length", value=str(len(data)))
    if mode != "does-not-look":
        tell("observe", name="sha256", value=hashlib.sha256(data).hexdigest())
    tell("check", name="readable", verdict="passed")


{"plan": plan, "backup": backup, "restore": restore, "verify": verify}[verb]()
if mode != "no-done":
    tell("done")
)py";

class ProgramActionsTest : public testing::Test {
 protected:
  void SetUp() override {
    repository_.Make();
    config_.state_directory = directory_ / "state";
    config_.action_work_directory = directory_ / "work";
    // A program that is not root has to get through to its folder, and no further.
    ASSERT_EQ(::chmod(directory_.Path().c_str(), 0711), 0);
    ASSERT_TRUE(MakeDirectories(config_.state_directory, 0700).ok());
    ASSERT_TRUE(MakeDirectories(config_.action_work_directory, 0711).ok());
    ASSERT_TRUE(WriteFileAtomically(directory_ / "toy", kToyProgram, 0755).ok());
    ASSERT_TRUE(WriteFileAtomically(directory_ / "password", "correct horse\n", 0600).ok());
    config_.policy.action_programs = {directory_ / "toy"};
    task_.mutable_lease()->set_run("backup-shop-1");
    task_.mutable_lease()->set_attempt(1);
    task_.set_component("cache");
    component_.set_program("toy");
    Set("text", "all of it");
    places_ = std::make_unique<ScratchPlaces>(
        ScratchOptions{config_.state_directory, Tools(), Supervisor(), {}, "", "bwrap"});
  }

  void Set(const std::string& key, const std::string& value) {
    (*component_.mutable_settings())[key] = value;
  }

  ActionContext Context() {
    ActionContext context{config_, Tools(), task_, stop_.get_token(), SteadyTime::InfiniteFuture(),
                          nullptr, nullptr};
    context.log = [this](std::string_view source, std::string_view line) {
      MutexLock lock(mutex_);
      log_.push_back(std::string(source) + ": " + std::string(line));
    };
    context.scratch = places_.get();
    return context;
  }

  StatusOr<v1::ActionResult> Backup(const std::string& mode = "") {
    if (!mode.empty()) Set("mode", mode);
    v1::ProgramBackup backup;
    *backup.mutable_component() = component_;
    v1::ArtifactTarget& target = *backup.mutable_target();
    *target.mutable_location() = repository_.Location();
    target.set_backup("shop-1");
    target.set_component("cache");
    target.set_artifact("cache.record");
    ActionContext context = Context();
    return RunProgramBackup(backup, context);
  }
  void MustBackup(const std::string& mode = "") {
    const auto result = Backup(mode);
    ASSERT_TRUE(result.ok()) << result.status() << "\n" << Log();
    kept_ = *result;
  }
  const v1::Artifact& Kept(const std::string& name) const {
    for (const v1::Artifact& artifact : kept_.artifacts()) {
      if (artifact.name() == "cache." + name) return artifact;
    }
    ADD_FAILURE() << "no artifact " << name;
    return v1::Artifact::default_instance();
  }

  template <typename Action>
  void Fill(Action* action) {
    *action->mutable_component() = component_;
    *action->mutable_location() = repository_.Location();
    *action->mutable_record() = Kept("record");
  }
  StatusOr<v1::ActionResult> Plan() {
    v1::ProgramPlan plan;
    Fill(&plan);
    ActionContext context = Context();
    return RunProgramPlan(plan, context);
  }
  StatusOr<v1::ActionResult> Restore() {
    auto place = places_->Start({"drill-shop-1", "", 1 << 20});
    EXPECT_TRUE(place.ok()) << place.status();
    v1::ProgramRestore restore;
    Fill(&restore);
    restore.set_scratch("drill-shop-1");
    for (const v1::Artifact& artifact : kept_.artifacts()) {
      if (artifact.name() != "cache.record") *restore.add_artifacts() = artifact;
    }
    ActionContext context = Context();
    return RunProgramRestore(restore, context);
  }
  // "PASSED expectation cache: 2 expectations equal" of each check.
  std::vector<std::string> Verify() {
    v1::ProgramVerify verify;
    Fill(&verify);
    verify.set_scratch("drill-shop-1");
    ActionContext context = Context();
    const auto result = RunProgramVerify(verify, context);
    EXPECT_TRUE(result.ok()) << result.status() << "\n" << Log();
    std::vector<std::string> lines;
    if (!result.ok()) return lines;
    for (const v1::Check& check : result->checks())
      lines.push_back(v1::Check::Verdict_Name(check.verdict()).substr(8) + " " + check.kind() + " " +
                      check.subject() + ": " + check.compared());
    return lines;
  }
  std::vector<std::string> Drill() {
    const auto restored = Restore();
    EXPECT_TRUE(restored.ok()) << restored.status() << "\n" << Log();
    if (!restored.ok()) return {};
    warnings_.assign(restored->warnings().begin(), restored->warnings().end());
    return Verify();
  }

  size_t SnapshotsKept() {
    const auto found = repository_.Open().Find({{"salvor", ""}});
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? found->size() : 0;
  }
  std::string Log() {
    MutexLock lock(mutex_);
    std::string text;
    for (const std::string& line : log_) text += line + "\n";
    return text;
  }
  size_t LogLines() {
    MutexLock lock(mutex_);
    return log_.size();
  }

  TemporaryDirectory directory_;
  ResticRepositoryForTest repository_;
  AgentConfig config_;
  v1::Task task_;
  v1::ActionComponent component_;
  std::stop_source stop_;
  std::unique_ptr<ScratchPlaces> places_;
  v1::ActionResult kept_;
  std::vector<std::string> warnings_;
  Mutex mutex_;
  std::vector<std::string> log_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace salvor::agent
