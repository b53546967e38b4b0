"""Installed plugins: found by metadata, opened one at a time, each in a scope of its own."""

from flow_core.plugins._discover import GROUPS, Catalog, Plugin

__all__ = ["GROUPS", "Catalog", "Plugin"]
