"""What a double can be told at its start."""

from __future__ import annotations

import attrs


@attrs.frozen
class Settings:
    """``start_seconds`` and ``notice_seconds`` are of the double's own clock."""

    project: str = "flow-tests"
    api_key: str = "fkey_test"
    region: str = "us-central2-a"
    boot: bool = True
    """Whether machines really boot (needs root); else an instance is but a row."""
    ssh_destination: str | None = None
    """What instances say of their address when nothing boots."""
    publish: tuple[int, ...] = attrs.field(default=(), converter=tuple)
    """Ports of this host's loopback that machines reach at their own, beside the API's: a store's, say."""
    start_seconds: float = 0.3
    """From the allocation until a machine runs (one that boots: at least)."""
    notice_seconds: float = 300.0
    """From the notice of a preemption until the machine stops."""
    round_seconds: float = 0.0
    """Between two rounds of the auction (the service: 120); 0 decides at once."""
    spot_quota: int = 64
    reservation_quota: int = 10_000
    """Instance-hours that reservations of one type may have before them."""
    storage_quota: int = 50_000
    idempotency: bool = False
    """Whether a repeated ``Idempotency-Key`` gets the first answer again: it is not known whether the service does so."""
    volume_megabytes: int = 64
    """The real size of a block volume's disk, whatever was asked for."""
    docker: bool = False
    """Whether the Docker of machines runs; its one image is ``machine:1``."""
    disk_megabytes: int | None = None
    """The size of a machine's own disk; None: as large as this host's."""
