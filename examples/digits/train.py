"""Train with DistributedDataParallel over gloo on as many processes as torchrun started; rank 0 saves model and metrics."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
import torch.distributed as dist
from data import load, model
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for model.pt and metrics.json")
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()

    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    network = DistributedDataParallel(model())
    accuracy = train(network, options.epochs, rank)
    if rank == 0:
        save(network.module, options.out, {"world_size": world, "epochs": options.epochs, "train_accuracy": accuracy})
    dist.barrier()
    dist.destroy_process_group()


def train(network: torch.nn.Module, epochs: int, rank: int) -> float:
    """Return the accuracy on the training images of all ranks after ``epochs``."""
    data = load("train")
    sampler = DistributedSampler(data, seed=0)
    batches = DataLoader(data, batch_size=32, sampler=sampler)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    totals = torch.zeros(2)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        totals.zero_()
        for images, labels in batches:
            optimizer.zero_grad()
            scores = network(images)
            torch.nn.functional.cross_entropy(scores, labels).backward()
            optimizer.step()
            totals += torch.tensor([(scores.argmax(1) == labels).sum().item(), len(labels)])
        dist.all_reduce(totals)
        if rank == 0:
            print(f"epoch {epoch + 1} accuracy {(totals[0] / totals[1]).item():.4f}", flush=True)
    return (totals[0] / totals[1]).item()


def save(network: torch.nn.Module, folder: Path, metrics: dict[str, object]) -> None:
    """Write the model and its metrics."""
    torch.save(network.state_dict(), folder / "model.pt")
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    print(f"saved {folder / 'model.pt'}: {json.dumps(metrics)}", flush=True)


if __name__ == "__main__":
    main()
