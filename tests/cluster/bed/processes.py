"""The cluster's processes: each is known by its pid, its start time and the boot it was started in, so that nothing
else is ever stopped, not even after a pid was used again."""

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .commands import SEARCH
from .settings import LOGS, MARKER, RUN, STATE

LOG_LIMIT = 32 << 20


@dataclass(frozen=True)
class Process:
    name: str
    pid: int
    start: str
    fingerprint: str = ""
    # Seconds since the epoch.
    began: float = 0.0


def boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> str:
    """The time in clock ticks since boot; empty when there is no such process or it only waits to be reaped."""
    try:
        # The name in parentheses may hold anything, so fields are counted after it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _record(name: str) -> Path:
    return RUN / f"{name}.json"


def find(name: str) -> Process | None:
    """The running process of that name."""
    try:
        record = json.loads(_record(name).read_text())
    except (OSError, ValueError):
        return None
    if record["boot"] != boot() or start_time(record["pid"]) != record["start"]:
        return None
    return Process(name, record["pid"], record["start"], record.get("fingerprint", ""), record.get("began", 0.0))


def log_file(name: str) -> Path:
    return LOGS / f"{name}.log"


def _open_log(name: str):
    log = log_file(name)
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.rename(log.with_suffix(".log.old"))
    return open(log, "ab")


def start(name: str, argv: list[str], environment: dict[str, str], fingerprint: str) -> Process:
    """Starts it in a session of its own, so that it outlives us and no Ctrl-C of ours reaches it."""
    whole = {"PATH": SEARCH, "HOME": "/root", **environment, MARKER: str(STATE)}
    with _open_log(name) as log:
        log.write(f"--- started {time.strftime('%F %T')}: {' '.join(argv)}\n".encode())
        log.flush()
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=whole, cwd=STATE,
                                 start_new_session=True)
    record = {"pid": child.pid, "start": start_time(child.pid), "boot": boot(), "fingerprint": fingerprint,
              "began": time.time()}
    _record(name).write_text(json.dumps(record))
    # The child outlives us on purpose; Python would warn about it.
    child.returncode = 0
    return Process(name, record["pid"], record["start"], fingerprint, record["began"])


def send(process: Process, number: int) -> None:
    if start_time(process.pid) == process.start:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            pass


def reap() -> None:
    """Children that ended while we wait for something would stay as zombies."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def stop(processes: list[Process], seconds: float, first: int = signal.SIGTERM) -> None:
    """Asks them to end, and kills those that have not after the time."""
    for process in processes:
        send(process, first)
    end = time.monotonic() + seconds
    killed = False
    while any(start_time(process.pid) == process.start for process in processes):
        reap()
        if not killed and time.monotonic() > end:
            killed = True
            for process in processes:
                send(process, signal.SIGKILL)
        if time.monotonic() > end + 5:
            return  # nothing is left to be done about a process that survives SIGKILL; status shows it
        time.sleep(0.02)


def forget(name: str) -> None:
    _record(name).unlink(missing_ok=True)


def marked() -> list[Process]:
    """Every process that was started by us or by a process of ours, whether or not its record is there."""
    found = []
    wanted = f"{MARKER}={STATE}".encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            environment = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in environment:
            found.append(Process("", int(entry), start_time(int(entry))))
    return [process for process in found if process.start]


def memory(pid: int) -> int:
    """Resident bytes; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
