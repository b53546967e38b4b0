"""Flow provider for Mithril."""
