"""Flow provider for Mithril."""

from flow_mithril._provider import MithrilProvider

__all__ = ["MithrilProvider"]
