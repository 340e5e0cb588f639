"""How to get the same numbers again: data hashes, seeds, versions, machine, command, time."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("implicitbias", "numpy", "scipy", "torch", "cvxpy", "clarabel", "scikit-learn", "sympy")
"""The distributions whose versions can change a number."""


@dataclass(frozen=True)
class DataUsed:
    """A data set by name and by the SHA-256 of the very arrays (X, y) that entered the computation."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Provenance:
    """Where the numbers of a report come from. `+` joins two: data, seeds and commands once each, the later time.

    >>> Provenance.collect(seeds=[0, 1], command="compare.compare_margin('digits:3v8')").seeds
    (0, 1)
    """

    data: tuple[DataUsed, ...] = ()
    """Name and hash of every data set."""
    seeds: tuple[int, ...] = ()
    """Of all random numbers."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of Python and of the libraries, by name."""
    machine: str = ""
    """Processor, cores, GPU and system."""
    commands: tuple[str, ...] = ()
    """What to type, or call, to get the report again."""
    parameters: tuple[Mapping[str, Any], ...] = ()
    """Every parameter of each experiment, in JSON's types."""
    time: str = ""
    """When it was made, UTC, ISO 8601."""

    @classmethod
    def collect(
        cls,
        data: Iterable[DataUsed] = (),
        *,
        seeds: Iterable[int] = (),
        command: str = "",
        parameters: Mapping[str, Any] | None = None,
    ) -> Provenance:
        """The provenance of a computation on this machine, now."""
        return cls(
            data=tuple(dict.fromkeys(data)),
            seeds=tuple(dict.fromkeys(seeds)),
            versions={"python": platform.python_version(), **installed_versions()},
            machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            commands=(command,) if command else (),
            parameters=(parameters,) if parameters else (),
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def __add__(self, other: Provenance) -> Provenance:
        return Provenance(
            data=tuple(dict.fromkeys(self.data + other.data)),
            seeds=tuple(dict.fromkeys(self.seeds + other.seeds)),
            versions={**self.versions, **other.versions},
            machine="; ".join(dict.fromkeys(m for m in (self.machine, other.machine) if m)),
            commands=tuple(dict.fromkeys(self.commands + other.commands)),
            parameters=self.parameters + tuple(p for p in other.parameters if p not in self.parameters),
            time=max(self.time, other.time),
        )


def installed_versions() -> dict[str, str]:
    """The versions of PACKAGES that are installed, by distribution name, without importing them."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
