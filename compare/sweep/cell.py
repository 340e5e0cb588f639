"""A cell of a sweep: the parameters of one run, the key they are stored under, and what the run may take.

Worker processes import this file to receive their work, so it imports nothing that takes time.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compare.data.load import Scale


@dataclass(frozen=True)
class Source:
    """A data set as a plan names it. Its numbers are loaded where they are used."""

    name: str
    """As the plan writes it, {seed} replaced."""
    sha256: str
    """Of the very numbers, see `compare.data.dataset.Dataset`."""
    image_shape: tuple[int, int] | None
    """(H, W) where the rows are images."""
    template: str
    """As the plan writes it."""
    location: str
    """What `compare.load` opens: `name`, or the absolute path of a file."""
    scale: Scale
    offset: bool | None


@dataclass(frozen=True)
class Limits:
    """What one cell may take; None: as much as it likes."""

    seconds: float | None = None
    """Wall-clock time."""
    memory: float | None = None
    """GiB that its process may hold, the interpreter and its libraries included. On Linux."""


@dataclass(frozen=True)
class Cell:
    """One run: a network on data by one method. None: the parameter cannot change this cell's numbers."""

    data: Source
    network: str
    depth: int
    width: int | None
    seed: int | None
    scale: float | None
    loss: str | None
    method: str
    steps: int | None
    tol: float
    image_shape: tuple[int, int] | None = field(default=None, repr=False)
    """(H, W) for networks on images."""

    def __str__(self) -> str:
        """What a person calls it: "diagonal, depth 2, seed 0, scale 0.1, flow on wine:0v1"."""
        named = (f"{name} {getattr(self, name)}" for name in ("depth", "width", "seed", "scale", "loss"))
        return ", ".join(
            [self.network, *(n for n in named if not n.endswith("None")), f"{self.method} on {self.data.name}"]
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """The columns that say what this cell is."""
        names = ("network", "depth", "width", "seed", "scale", "loss", "method", "steps", "tol")
        return {"data": self.data.name, "sha256": self.data.sha256, **{name: getattr(self, name) for name in names}}

    @property
    def kind(self) -> tuple[Any, ...]:
        """Cells that differ in seed and scale only are of one kind, and take about the same time."""
        return self.data.template, self.network, self.depth, self.width, self.loss, self.method

    @property
    def key(self) -> str:
        """What the store files the cell under: 32 hex digits, the same on every machine and in every session."""
        identity = {**self.parameters, "image_shape": self.image_shape}
        del identity["data"]  # its contents count, not its name
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
