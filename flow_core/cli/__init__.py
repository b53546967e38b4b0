"""The command line: parsing, rendering, exit codes. What a program would need too is in :mod:`flow_core.client`."""

from flow_core.cli._main import run

__all__ = ["run"]
