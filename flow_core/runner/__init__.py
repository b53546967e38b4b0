"""The program that runs tasks on a node: Python 3.8+, standard library only, no import of anything else of ours.

``command`` starts it on this machine, ``archive`` is the one file that travels to others.
"""

from typing import List

__all__ = ["archive", "command"]


def command(*args: str) -> List[str]:
    """The argv that runs this program with ``args`` on this machine."""
    from .launch import command

    return command(*args)


def archive() -> bytes:
    """This program as one file, to be run as ``python3 FILE serve|run|... `` by Python 3.8 or newer."""
    from .launch import archive

    return archive()
