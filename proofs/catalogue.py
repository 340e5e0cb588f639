"""Every claim by name, in the order of the papers, and the running of them.

The claims live in one module per subject; the module's name, with hyphens, names the whole group. Modules are imported
when asked for, so that one claim does not pay for all.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Sequence

from joblib import Parallel, delayed

from proofs.claim import Claim, Verdict

GROUPS = (
    "convolution-lemma", "convolution-radicals", "spectral-factors", "convolution-limits", "linear-networks",
    "induced-regularizers", "two-layer-convolution", "kernel-norm-values", "stationarity", "weight-space",
    "wide-relu", "splines", "generators",
)  # fmt: skip


class UnknownClaimError(ValueError):
    """No claim or group has this name; the message lists the nearest ones, `nearest` holds them."""

    def __init__(self, name: str, nearest: Sequence[str]) -> None:
        self.nearest = tuple(nearest)
        hint = f"the nearest are {', '.join(nearest)}" if nearest else "see `implicitbias prove` for all names"
        super().__init__(f"no claim is called {name!r}; {hint}")


def group(name: str) -> tuple[Claim, ...]:
    """The claims of one subject."""
    claims: tuple[Claim, ...] = importlib.import_module(f"proofs.{name.replace('-', '_')}").CLAIMS
    return claims


def claims() -> dict[str, Claim]:
    """All claims by name."""
    return {claim.name: claim for subject in GROUPS for claim in group(subject)}


def find(names: Sequence[str] = ()) -> list[Claim]:
    """The claims with these names; the name of a claim comes before that of a group; no names means all of them.

    Raises UnknownClaimError for a name that is neither, with the nearest names.

    >>> [claim.name for claim in find(["lemma-3"])]
    ['lemma-3']
    """
    known = claims()
    if not names:
        return list(known.values())
    chosen: dict[str, Claim] = {}
    for name in names:
        if name in known:
            chosen[name] = known[name]
        elif name in GROUPS:
            chosen.update({claim.name: claim for claim in group(name)})
        else:
            raise UnknownClaimError(name, difflib.get_close_matches(name, [*known, *GROUPS], n=4, cutoff=0.4))
    return list(chosen.values())


def verify(names: Sequence[str] = (), *, max_K: int | None = None, jobs: int = 1) -> Iterator[tuple[Claim, Verdict]]:
    """Verify the claims with these names, in order, each as soon as it is done; `jobs` processes share the work.

    max_K is the largest kernel length K at which the identities in K are checked; None leaves each claim its own.

    Raises UnknownClaimError for an unknown name, ValueError for max_K < 1.
    """
    chosen = find(names)
    if jobs == 1 or len(chosen) < 8:  # starting workers costs as long as a few claims
        for claim in chosen:
            yield claim, claim.verify(max_K if claim.size == "K" else None)
        return
    parallel = Parallel(n_jobs=jobs, return_as="generator", batch_size=1)
    # a claim holds lambdas; its name travels to the worker instead
    verdicts = parallel(delayed(_verify_named)(claim.name, max_K) for claim in chosen)
    yield from zip(chosen, verdicts, strict=True)


def _verify_named(name: str, max_K: int | None) -> Verdict:
    claim = claims()[name]
    return claim.verify(max_K if claim.size == "K" else None)
