"""Evaluate the model of train.py on the images it never saw."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from data import load, model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with model.pt and metrics.json")
    options = parser.parse_args()

    metrics = json.loads((options.model / "metrics.json").read_text(encoding="utf-8"))
    network = model()
    network.load_state_dict(torch.load(options.model / "model.pt", weights_only=True))
    images, labels = load("test").tensors
    with torch.no_grad():
        accuracy = (network(images).argmax(1) == labels).float().mean().item()
    print(json.dumps({"test_accuracy": accuracy, "images": len(labels), **metrics}))


if __name__ == "__main__":
    main()
