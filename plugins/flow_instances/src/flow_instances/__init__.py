"""Machines that really boot, in a few hundred milliseconds, for tests of cloud providers. Not for use outside tests."""

from flow_instances._image import cache, image
from flow_instances._machine import Disk, Machine, Plan, Share
from flow_instances._site import Site, sweep
from flow_instances._unavailable import Unavailable, unavailable

__all__ = ["Disk", "Machine", "Plan", "Share", "Site", "Unavailable", "cache", "image", "sweep", "unavailable"]
