"""Write a program by which Salvor backs up, restores and compares your software.

Derive from Action, and end your program with `run(MyAction())`. docs/reference/action-contract.md is what it keeps to.
"""
from .action import Action, Damaged, Failed, Stream, Temporary, run
from .contract import Artifact, Events, Request

__all__ = ["Action", "Artifact", "Damaged", "Events", "Failed", "Request", "Stream", "Temporary", "run"]
