"""A tiny model: which of two kinds of iris a flower is, by the length and width of its petals in centimetres."""

from __future__ import annotations

import math

# Logistic regression on the petals of Fisher's Iris versicolor and virginica (Annals of Eugenics, 1936).
_WEIGHTS, _BIAS = (5.75, 10.45), -45.27
KINDS = ("versicolor", "virginica")


def predict(length: float, width: float) -> dict[str, object]:
    """Return the kind and how sure the model is, 0.5 to 1."""
    chance = 1 / (1 + math.exp(-(_WEIGHTS[0] * length + _WEIGHTS[1] * width + _BIAS)))
    return {"kind": KINDS[chance >= 0.5], "certainty": round(max(chance, 1 - chance), 3)}
