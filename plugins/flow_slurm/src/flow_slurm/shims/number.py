"""The number that stands for a task id where Slurm's users expect one.

It is the id's time (milliseconds since 2026) and its first three random letters: 32768 numbers for each millisecond. So
it needs no counter, is the same wherever it is asked for, sorts by age, and leads back to the id. Until 2034 it is below
2**53, up to which programs that know no integers (awk, JavaScript) keep every digit; a shell keeps 2**63.
"""

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_START = 1767225600000  # 2026-01-01T00:00:00Z in milliseconds
_RANDOM = 3
_KNOWN = 11 + _RANDOM  # letters of an id, with its "t", that the number holds
_EPOCH = _START << 5 * _RANDOM


def number(task_id: str) -> int:
    """The number of a task id."""
    value = 0
    for letter in task_id[1:_KNOWN]:
        value = value * 32 + _LETTERS.index(letter)
    return value - _EPOCH


def prefix(value: int) -> str:
    """The beginning of the id that has this number; no other id begins so, but one of the same millisecond may."""
    value += _EPOCH
    letters = ""
    while value > 0:
        value, last = divmod(value, 32)
        letters = _LETTERS[last] + letters
    return "t" + letters.rjust(_KNOWN - 1, "0")
