"""Machines that really boot, for tests of cloud providers."""
