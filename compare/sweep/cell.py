"""A cell of a sweep: the parameters of one run, and the key they are stored under.

Worker processes import this file to receive their work, so it imports nothing that takes time.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Options:
    """What is the same for every cell."""

    steps: int = 2000
    max_steps: int = 20_000
    tol: float = 1e-9
    standardize: str = "auto"
    offset: bool | None = None


@dataclass(frozen=True)
class Cell:
    """One run: a network on data by one road. None: the parameter cannot change this cell's numbers."""

    data: str
    """As the plan names it, {seed} replaced."""
    sha256: str
    """Of the very numbers, see `Dataset.sha256`."""
    network: str
    depth: int
    width: int | None
    seed: int | None
    scale: float | None
    loss: str | None
    road: str
    steps: int | None
    tol: float
    image_shape: tuple[int, int] | None = None
    """(H, W) for networks on images."""
    source: str = field(default="", compare=False, repr=False)
    """What `compare.load` opens, file paths absolute. Not part of the cell's identity."""
    kind: tuple[Any, ...] = field(default=(), compare=False, repr=False)
    """Cells that differ in seed and scale only are of one kind, and take about the same time."""
    options: Options = field(default=Options(), compare=False, repr=False)

    @property
    def parameters(self) -> dict[str, Any]:
        """The columns that say what this cell is."""
        names = ("data", "sha256", "network", "depth", "width", "seed", "scale", "loss", "road", "steps", "tol")
        return {name: getattr(self, name) for name in names}

    @property
    def key(self) -> str:
        """What the store files the cell under: 32 hex digits, the same on every machine and in every session."""
        identity = {**self.parameters, "image_shape": self.image_shape}
        del identity["data"]  # its contents count, not its name
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
