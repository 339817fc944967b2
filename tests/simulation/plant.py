#!/usr/bin/env python3
"""Writes a copy of one source file with a fault of old planted in it: plant.py FAULT ROOT FILE OUTPUT, or plant.py --list.

The product's own sources carry no trace of this. A fault whose place is not found any more, or not once, ends the build:
whoever rewrote that place knows where the fault would be now.
"""
import pathlib
import sys

REDUCER = "flows/run/reducer.cc"
QUEUE = "controlplane/runs/ready_queue.cc"
ENGINE = "controlplane/runs/engine.cc"
AGENTS = "controlplane/runs/engine_agents.cc"
EXECUTOR = "agent/executor/executor.cc"
OBLIGATIONS = "agent/executor/executor_obligations.cc"
CONVERSATION = "agent/puller/conversation.cc"

CANCELS = "  for (const v1::LeaseKey& lease : message.cancels()) executor_.Cancel(lease);\n"
TASKS = "  for (v1::Task& task : *message.mutable_tasks()) {\n"

# By the names that issue 7, "What broke it", gives them; a letter where one name has several. Each with the words of the
# witness by which it is found, as a regular expression: whatever else breaks is another fault. Then each file that it
# changes, with what is replaced there.
FAULTS = {
    # An earlier attempt's result makes this attempt's late one a duplicate.
    "E1": ("was told that the result of .* is kept, and it is not",
           {REDUCER: [("if (at.result_attempt == attempt) return", "if (at.result != nullptr) return")]}),
    # A success that comes after its attempt was given up is thrown away although nobody was granted.
    "E2": ("is thrown away although nobody was granted since",
           {REDUCER: [("return waits && !at.must_fail ? Fence::kAccept : Fence::kSuperseded;",
                      "(void)waits;\n  return Fence::kSuperseded;")]}),
    # A cancel that travels with its task comes before it, and is lost.
    "E3": ("has the cancel of .* and (begins it|works on)",
           {CONVERSATION: [(CANCELS, ""), (TASKS, CANCELS + TASKS)]}),
    # Two attempts of one step run beside each other.
    "E4": ("is at work on .* beside",
           {EXECUTOR: [("if (!WaitForEarlierAttempts(attempt)) {", "if (false) {")]}),
    # Room by differences: what a superseded attempt took is lost until the agent connects again.
    "E5": ("could go to .* since long, and does not",
           {CONVERSATION: [("  first.set_task_limit(Room());\n", ""),
                          ("  message.set_task_limit(received + Room());\n", "  (void)received;\n"),
                          ("void Conversation::RoomChanged() {\n  MutexLock lock(mutex_);\n"
                           "  next_.set_credits(next_.credits() + 1);\n",
                           "void Conversation::RoomChanged() {\n  MutexLock lock(mutex_);\n")]}),
    # A step that undoes something waits for room like everything else.
    "E6a": ("could go to .* since long, and does not",
            {QUEUE: [("session->Room() <= 0 && !Releases(ready)", "session->Room() <= 0")]}),
    # Nobody asks again for what is not undone.
    "E6b": ("is never undone on",
            {AGENTS: [("  RepeatReleases(turn, now);\n", "")]}),
    # An undo that the agent made at its deadline is told to nobody.
    "E6c": ("succeeded although what it relied on was undone before it began",
            {CONVERSATION: [("  *next_.add_early_releases() = release;\n", "  (void)release;\n"),
                           ("    *first.add_early_releases() = std::move(release);\n", "    (void)release;\n")]}),
    # One released obligation closes all of its run.
    "E7": ("is never undone on",
           {OBLIGATIONS: [("    if (!is_it) continue;\n",
                          "    if (!is_it && !task.action().has_scratch_stop()) continue;\n")]}),
    # Any process takes the place of another of its name.
    "E8": ("is connected and alive, and another process takes its place",
           {AGENTS: [("if (another && ", "if (false && another && ")]}),
    # Any agent may report any lease.
    "E9": ("succeeded, and no agent performed it",
           {AGENTS: [("if (run != nullptr && FindHeld(session, lease.run(), lease.step()) == nullptr) {", "if (false) {")]}),
    # Durations are measured by the clock that people set.
    "E10": ("timed out before its time|is closed for its silence",
            {AGENTS: [("const absl::Duration now = clock_.Monotonic();\n  Turn turn;",
                      "const absl::Duration now = started_at_ + (clock_.Now() - started_wall_);\n  Turn turn;")]}),
    # An agent's deadlines, too.
    "E10b": ("undoes .*, before its time",
             {EXECUTOR: [("    deadlines_[{obligation.run(), obligation.name()}] = options_.clock->Monotonic() + left;",
                         "    deadlines_[{obligation.run(), obligation.name()}] = "
                         "options_.clock->Now() - absl::UnixEpoch() + left;"),
                        ("options_.clock->Monotonic() + (FromProto(held.deadline()) - options_.clock->Now());",
                         "FromProto(held.deadline()) - absl::UnixEpoch();"),
                        ("  const absl::Duration now = options_.clock->Monotonic();\n  MutexLock lock(mutex_);\n"
                         "  for (const JournalObligation& obligation",
                         "  const absl::Duration now = options_.clock->Now() - absl::UnixEpoch();\n"
                         "  MutexLock lock(mutex_);\n  for (const JournalObligation& obligation")]}),
    # A refused event is logged, and its task sent all the same. Nothing is offered any more that would be refused: that
    # comes back with it.
    "E13": ("is sent .*, which is not on record",
            {ENGINE: [("if (!RecordEvent(turn, run, std::move(event))) return false;",
                       "(void)RecordEvent(turn, run, std::move(event));")],
             QUEUE: [("(takes_over && ready.run->state.phase != v1::RUN_PHASE_CANCELLING)", "takes_over")]}),
}


def main():
    if sys.argv[1] == "--list":
        print(";".join(f"{name}={','.join(files)}={words}" for name, (words, files) in FAULTS.items()), end="")
        return 0
    name, root, path, output = sys.argv[1:5]
    text = pathlib.Path(root, path).read_text(encoding="utf-8")
    for before, after in FAULTS[name][1][path]:
        if text.count(before) != 1:
            print(f"tests/simulation/plant.py: {name}: {path} has this {text.count(before)} times, not once; "
                  f"say there where the fault would be now:\n{before}", file=sys.stderr)
            return 1
        text = text.replace(before, after)
    pathlib.Path(output).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
