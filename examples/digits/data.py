"""The handwritten digits that scikit-learn ships (1,797 images of 8 x 8), split once and for all."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import TensorDataset


def load(split: str) -> TensorDataset:
    """Return the ``train`` or ``test`` images (float32, 64 values of 0 to 1) with their labels."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16.0, labels, test_size=0.25, random_state=0, stratify=labels)
    train_x, test_x, train_y, test_y = (torch.tensor(part) for part in parts)
    chosen = (train_x, train_y) if split == "train" else (test_x, test_y)
    return TensorDataset(chosen[0].float(), chosen[1].long())


def model() -> torch.nn.Module:
    """Return the untrained classifier."""
    return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
