"""The core commands by name: help and completion read this table and import none of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Entry(NamedTuple):
    """A command's section in ``flow --help`` and its one-line help."""

    section: str
    help: str


TASKS, ELSEWHERE, SETTINGS, FLOW = "Tasks", "Offers and storage", "Accounts and settings", "Flow itself"

COMMANDS: Mapping[str, Entry] = {
    "run": Entry(TASKS, "Run a command or a task file, follow it and exit with its code."),
    "status": Entry(TASKS, "Show tasks, or one task in detail."),
    "queue": Entry(TASKS, "Show what runs and what waits, in order, and why."),
    "top": Entry(TASKS, "Show what running tasks use: cores, memory, GPUs."),
    "logs": Entry(TASKS, "Print what a task wrote, and follow it."),
    "wait": Entry(TASKS, "Wait for tasks and exit with their code."),
    "cancel": Entry(TASKS, "End tasks: stop signal, grace, then by force."),
    "exec": Entry(TASKS, "Run a command beside a running task."),
    "forward": Entry(TASKS, "Reach a port of a running task from here."),
    "cp": Entry(TASKS, "Copy a file to or from a task's node."),
    "artifacts": Entry(TASKS, "List, get and remove the files that tasks kept."),
    "retry": Entry(TASKS, "Submit the config of an earlier task again."),
    "offers": Entry(ELSEWHERE, "List what a provider could give, and at what price."),
    "volume": Entry(ELSEWHERE, "Create, list, copy and delete volumes."),
    "machines": Entry(ELSEWHERE, "List and give back kept machines and keys."),
    "gc": Entry(ELSEWHERE, "Remove results past their time, and bytes nobody names."),
    "login": Entry(SETTINGS, "Keep a profile's credentials."),
    "logout": Entry(SETTINGS, "Forget a profile's credentials."),
    "whoami": Entry(SETTINGS, "Say whom a profile's credentials stand for."),
    "config": Entry(SETTINGS, "Show and change settings, each with its origin."),
    "secret": Entry(SETTINGS, "Keep secrets that tasks may be given."),
    "plugins": Entry(FLOW, "List, show, diagnose and begin plugins."),
    "doctor": Entry(FLOW, "Find out what is wrong here, and the mend."),
    "schema": Entry(FLOW, "Print the schema of task files and the tree of commands."),
    "completion": Entry(FLOW, "Print the completion script for a shell."),
}
"""Core commands in the order of the help."""
