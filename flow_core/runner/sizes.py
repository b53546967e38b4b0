"""Bytes as people read them."""


def size(count: float) -> str:
    """``16 GiB``, ``1.5 GiB``, ``512 MiB``."""
    for unit, scale in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= scale:
            return "%.4g %s" % (count / scale, unit)
    return "%d bytes" % count
