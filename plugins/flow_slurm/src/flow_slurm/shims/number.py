"""The number that stands for a task id where Slurm's users expect one.

It is the id's time (milliseconds since 2026) and its first random letter: 32 numbers for each millisecond. So it needs
no counter, is the same wherever it is asked for, sorts by age, and leads back to the id.
"""

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_EPOCH = 1767225600000  # 2026-01-01T00:00:00Z in milliseconds
_KNOWN = 12  # letters of an id, with its "t", that the number holds


def number(task_id: str) -> int:
    """The number of a task id."""
    value = 0
    for letter in task_id[1:_KNOWN]:
        value = value * 32 + _LETTERS.index(letter)
    return value - _EPOCH * 32


def prefix(value: int) -> str:
    """The beginning of the id that has this number; no other id begins so, but one of the same millisecond may."""
    value += _EPOCH * 32
    letters = ""
    while value > 0:
        value, last = divmod(value, 32)
        letters = _LETTERS[last] + letters
    return "t" + letters.rjust(_KNOWN - 1, "0")
