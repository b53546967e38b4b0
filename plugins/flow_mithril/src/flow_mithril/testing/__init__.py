"""A Mithril API in memory, for tests without an account; ``python -m flow_mithril.testing --help``."""

from flow_mithril.testing._double import Double
from flow_mithril.testing._settings import Settings

__all__ = ["Double", "Settings"]
