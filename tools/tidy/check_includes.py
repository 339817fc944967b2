#!/usr/bin/env python3
"""Holds the source tree to its floors (docs/ARCHITECTURE.md). Prints each violation; exit code 1 if there is one.

  * below the line (base without base/io, flows, strategies, words) there is no clock, file, socket, thread,
    environment, randomness or log;
  * agent and controlplane never include each other;
  * agent and controlplane ask what people call the time only for what is shown or stored: a deadline on that clock
    comes early, or never, when somebody sets it;
  * the operations in controlplane/api know no transport: no gRPC;
  * nothing includes from a higher floor; floors are read from the CMake files, which the build holds to them too;
  * no source file has more than 600 lines.

Usage: check_includes.py ROOT
"""
import os
import re
import sys

CODE = (".h", ".cc")
SKIPPED = {".git", "build", "node_modules", "third_party"}
MAX_LINES = 600

PURE = ("base/", "flows/", "strategies/", "words/")
IMPURE_BELOW = ("base/io/",)
FORBIDDEN_HEADERS = re.compile(
    r"^(thread|mutex|shared_mutex|condition_variable|atomic|future|stop_token|semaphore|latch|barrier|fstream|"
    r"filesystem|random|iostream|ctime|time\.h|unistd\.h|fcntl\.h|signal\.h|csignal|pthread\.h|sys/.*|netinet/.*|"
    r"grpc/.*|grpcpp/.*|curl/.*|spdlog/.*|prometheus/.*|sqlite3\.h|libpq-fe\.h|yaml-cpp/.*|nlohmann/.*|openssl/.*|"
    r"absl/time/clock\.h|absl/synchronization/.*|base/io/.*|salvor/v1/.*(_service|\.grpc)\..*)$")
FORBIDDEN_CALLS = re.compile(
    r"::[Nn]ow\(|\b(secure_)?getenv\(|\bgettimeofday\(|\bclock_gettime\(|\btime\((NULL|nullptr|0)\)|"
    r"\bs?rand\(|\brandom_device\b|\bfopen\(|\bprintf\(")

# The names that people give to the time, and the lines that may ask for it: they show or store it, or hand it to what
# takes no other.
WALL_CLOCK = re.compile(r"\babsl::Now\(|\bsystem_clock::now\(|\bCLOCK_REALTIME\b|\bgettimeofday\(|"
                        r"\btime\((NULL|nullptr|0)\)")
WALL_CLOCK_FOLDERS = ("agent/", "controlplane/")
WALL_CLOCK_ALLOWED = {
    "agent/engines/action/actions/backup_action.cc": r"\bbegun_at_ = absl::Now\(\);",  # consistent_at
    "agent/engines/disk/actions/backup_action.cc": r"\b(from_|until_) = absl::Now\(\);",  # in the evidence
    "agent/location/location_actions.cc": r"\bDescribe\(\*lock, absl::Now\(\)\)",  # how old a lock's file says it is
    "agent/location/manifest_actions.cc": r"\bmutable_created_at\(\) = ToProto\(absl::Now\(\)\);",
    "agent/location/verification_actions.cc": r"\bmutable_at\(\) = ToProto\(absl::Now\(\)\);",
    "agent/engines/mariadb/actions/dump_action.cc": r"\bconsistent_at_ = absl::Now\(\);",
    "agent/engines/postgres/actions/dump_action.cc": r"\bconsistent_at_ = absl::Now\(\);",
    "agent/engines/postgres/actions/roles_action.cc": r"\bconst absl::Time now = absl::Now\(\);",  # consistent_at
    "agent/scratch/actions/scratch_actions.cc": r"\brequest\.deadline = absl::Now\(\) \+",  # stored: it outlives the agent
    "agent/engines/disk/tree.cc": r"\bCLOCK_REALTIME\b",  # beside a file's ctime
    "agent/scratch/scratch_places.cc": r"\bstate\.created_at = absl::Now\(\);",
    "controlplane/controlplane.cc": r"\bserver_->Shutdown\(std::chrono::system_clock::now\(\)",  # gRPC's
}

# The way by which callers come is the transport's business.
WITHOUT_TRANSPORT = ("controlplane/api/",)
TRANSPORT_HEADERS = re.compile(r"^(grpc/.*|grpcpp/.*|base/io/grpc/.*|controlplane/transport/.*|salvor/v1/.*\.grpc\..*)$")

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]')
TARGET = re.compile(r"salvor_(library|program)\s*\(([^)]*)\)", re.S)

# The lowest floors of folders without a target of their own (docs/ARCHITECTURE.md).
DEFAULT_FLOORS = {"base": 0, "base/io": 40, "flows": 10, "strategies": 30, "agent": 50, "controlplane": 50, "tools": 70}
TEST_FLOOR = 90


def is_test(path: str) -> bool:
    stem = os.path.splitext(path)[0]
    return stem.endswith(("_test", "_testing", "_fuzzer")) or path.startswith("tests/")


def is_pure(path: str) -> bool:
    return path.startswith(PURE) and not path.startswith(IMPURE_BELOW)


def source_files(root: str):
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(files):
            yield os.path.relpath(os.path.join(folder, name), root)


def read(root: str, path: str) -> str:
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as text:
        return text.read()


def code_lines(text: str):
    """The lines with comments and the insides of string literals taken out."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)

    def blank(match):
        found = match.group(0)
        if found.startswith('"') and "\n" not in found:
            line_start = text.rfind("\n", 0, match.start()) + 1
            if text[line_start:match.start()].lstrip().startswith("#"):
                return found  # the name of an include
        return re.sub(r"[^\n]", " ", found)

    return pattern.sub(blank, text).split("\n")


class Floors:
    """The floor that a file stands on: that of the target that lists it or its .cc, or that of its folder's only
    target. A header that several targets of a folder could own stands as high as what it includes."""

    def __init__(self, root: str, files: list):
        self.by_stem, self.by_folder, self.includes, self.known = {}, {}, {}, set(files)
        for path in files:
            if os.path.basename(path) == "CMakeLists.txt":
                self.add_targets(os.path.dirname(path), read(root, path))
            elif path.endswith(CODE):
                found = (INCLUDE.match(line) for line in read(root, path).split("\n"))
                self.includes[path] = [match.group(1) for match in found if match and match.group(1) in self.known]

    def add_targets(self, folder: str, text: str):
        text = re.sub(r"#[^\n]*", "", text)
        for kind, body in TARGET.findall(text):
            floor = re.search(r"\bFLOOR\s+(\d+)", body)
            if not floor:
                continue
            for word in body.split():
                if word.endswith(CODE):
                    path = os.path.normpath(os.path.join(folder, word))
                    self.by_stem[os.path.splitext(path)[0]] = int(floor.group(1))
                    if kind == "library":
                        self.by_folder.setdefault(os.path.dirname(path), set()).add(int(floor.group(1)))

    def of(self, path: str, above: tuple = ()) -> int:
        stem = os.path.splitext(path)[0]
        if is_test(path):
            return TEST_FLOOR
        if stem in self.by_stem:
            return self.by_stem[stem]
        floors = self.of_folder(os.path.dirname(path))
        if len(floors) == 1 or path in above:
            return min(floors)
        return max([min(floors)] + [self.of(name, above + (path,)) for name in self.includes.get(path, [])])

    def of_folder(self, folder: str) -> set:
        while folder:
            if folder in self.by_folder:
                return self.by_folder[folder]
            if folder in DEFAULT_FLOORS:
                return {DEFAULT_FLOORS[folder], TEST_FLOOR}
            folder = os.path.dirname(folder)
        return {0, TEST_FLOOR}


def check_file(path: str, text: str, floors: Floors, known: set) -> list:
    found = []
    lines = code_lines(text)
    pure = is_pure(path) and not is_test(path)
    if text.count("\n") > MAX_LINES:
        found.append(f"{path}: {text.count(chr(10))} lines, more than {MAX_LINES}: which of its subjects can leave?")
    for number, line in enumerate(lines, 1):
        include = INCLUDE.match(line)
        if include:
            found += check_include(path, number, include.group(1), pure, floors, known)
        elif pure and (call := FORBIDDEN_CALLS.search(line)):
            found.append(f"{path}:{number}: '{call.group(0)}' below the line: such values come in as arguments")
        if not is_test(path) and (call := WALL_CLOCK.search(line)) and not may_ask_for_the_time(path, line):
            found.append(f"{path}:{number}: '{call.group(0)}' is the clock that somebody may set: durations and deadlines "
                         "go by SteadyNow(); a time that is shown or stored is listed in WALL_CLOCK_ALLOWED")
    return found


def may_ask_for_the_time(path: str, line: str) -> bool:
    if not path.startswith(WALL_CLOCK_FOLDERS):
        return True
    return path in WALL_CLOCK_ALLOWED and re.search(WALL_CLOCK_ALLOWED[path], line) is not None


def check_include(path: str, number: int, name: str, pure: bool, floors: Floors, known: set) -> list:
    here = f"{path}:{number}: includes {name}"
    if pure and FORBIDDEN_HEADERS.match(name):
        return [f"{here}: nothing of that kind below the line"]
    if path.startswith(WITHOUT_TRANSPORT) and TRANSPORT_HEADERS.match(name):
        return [f"{here}: operations know no transport"]
    if name not in known or path.startswith("tests/"):
        return []
    for mine, other in (("agent/", "controlplane/"), ("controlplane/", "agent/")):
        if path.startswith(mine) and name.startswith(other):
            return [f"{here}: {mine[:-1]} and {other[:-1]} never include each other"]
    if floors.of(name) > floors.of(path):
        return [f"{here}: floor {floors.of(name)} from floor {floors.of(path)}; only lower floors may be used"]
    return []


def check(root: str) -> list:
    files = list(source_files(root))
    floors, known = Floors(root, files), set(files)
    found = []
    for path in files:
        if path.endswith(CODE):
            found += check_file(path, read(root, path), floors, known)
    return found


def main():
    if len(sys.argv) != 2 or not os.path.isdir(sys.argv[1]):
        sys.exit(__doc__)
    found = check(sys.argv[1])
    print("\n".join(found) if found else "floors, includes and sizes are as they should be")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
