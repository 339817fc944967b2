#!/usr/bin/env python3
"""The entry of `tools/dev cluster`; docs/cluster.md tells about it."""

import os
import signal
import sys

from bed.console import Trouble, report, say
from bed.settings import KUBECONFIG

USAGE = """tools/dev cluster COMMAND – a real Kubernetes with Velero, CSI snapshots and S3 on this machine

  up                       build what is missing, start what does not run
  status [-o json]         every component; exit code 0 if all is well
  logs NAME [-f]           the log of a component
  down [--purge]           stop it; --purge removes its data too
  reset                    a fresh cluster from what is built
  kubectl …, velero …      the commands of the cluster's own versions
  load-image FILE          put an image archive into the cluster
  image …                  build an image without a container engine
  build                    programs and images only

Exit code 3: the machine cannot hold the cluster, and nothing was changed."""

NEED_ROOT = ("up", "down", "reset", "build", "status", "logs", "load-image")


def _execute(name: str, arguments: list[str]) -> int:
    """Becomes kubectl or velero, so that its exit code, its input and its signals are its own."""
    from bed import binaries, processes
    if not KUBECONFIG.exists():
        raise Trouble("there is no cluster", "'tools/dev cluster up' makes one.")
    if not os.access(KUBECONFIG, os.R_OK):
        raise Trouble(f"{KUBECONFIG} is root's", "Run it as root, for instance with sudo.")
    if not processes.find("kube-apiserver"):
        raise Trouble("the cluster's API server does not run", "'tools/dev cluster up' starts what is missing.")
    program = str(binaries.program(name))
    os.execve(program, [name, *arguments], {**os.environ, "KUBECONFIG": str(KUBECONFIG)})


def _logs(arguments: list[str]) -> int:
    from bed import processes
    known = sorted(path.stem for path in processes.LOGS.glob("*.log"))
    names = [argument for argument in arguments if argument != "-f"]
    if len(names) != 1 or names[0] not in known:
        raise Trouble("which log?", "There are: " + (", ".join(known) or "none yet") + ".")
    log = str(processes.log_file(names[0]))
    os.execvp("tail", ["tail", "-n", "1000", *(["-F"] if "-f" in arguments else []), log])


def _change(command: str, arguments: list[str]) -> int:
    from bed import lifecycle
    allowed = ["--purge"] if command == "down" else []
    unknown = [argument for argument in arguments if argument not in allowed]
    if unknown:
        raise Trouble(f"'{command}' does not know '{unknown[0]}'", "'tools/dev cluster help' lists what there is.")
    actions = {"up": lifecycle.up, "reset": lifecycle.reset, "build": lifecycle.build_only,
               "down": lambda: lifecycle.down("--purge" in arguments)}
    actions[command]()
    return 0


def _status(arguments: list[str]) -> int:
    from bed import status
    return status.show(arguments in (["-o", "json"], ["-ojson"]))


def _image(command: str, arguments: list[str]) -> int:
    from bed import image_command
    return image_command.main([command, *arguments])


def run(command: str, arguments: list[str]) -> int:
    if command in NEED_ROOT and os.geteuid() != 0:
        raise Trouble("the cluster needs root (it mounts, makes networks and runs a kubelet)",
                      "Run it as root, for instance with sudo.")
    if command in ("up", "down", "reset", "build"):
        return _change(command, arguments)
    if command == "status":
        return _status(arguments)
    if command == "logs":
        return _logs(arguments)
    if command in ("kubectl", "velero"):
        return _execute(command, arguments)
    if command in ("image", "load-image"):
        return _image(command, arguments)
    say(USAGE)
    return 0 if command in ("help", "-h", "--help") else 2


def main() -> int:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    arguments = sys.argv[1:] or ["help"]
    try:
        return run(arguments[0], arguments[1:])
    except Trouble as trouble:
        sys.stdout.flush()
        report(trouble)
        return trouble.exit_code
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
