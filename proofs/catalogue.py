"""Every claim by name, in the order of the papers, and the running of them.

The words of the claims stand in `statements.toml`; their arguments in one module per subject, whose name, with hyphens,
names the group. A module is imported when one of its claims is asked for.
"""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Iterator, Sequence

from joblib import Parallel, delayed

from proofs.claim import Claim, Verdict, statements
from solvers.worker_processes import become_worker

GROUPS = tuple(statements())


class UnknownClaimError(ValueError):
    """No claim or group has this name; the message lists the nearest ones, `nearest` holds them."""

    def __init__(self, name: str, nearest: Sequence[str]) -> None:
        self.nearest = tuple(nearest)
        hint = f"the nearest are {', '.join(nearest)}" if nearest else "see `implicitbias prove --list` for all names"
        super().__init__(f"no claim is called {name!r}; {hint}")


def group(name: str) -> tuple[Claim, ...]:
    """The claims of one subject."""
    claims: tuple[Claim, ...] = importlib.import_module(f"proofs.{name.replace('-', '_')}").CLAIMS
    return claims


def claims() -> dict[str, Claim]:
    """All claims by name, in the order of the papers.

    Returns:
        A dict of `Claim` by name. All modules of claims are imported.

    Example:
        >>> claims()["lemma-3"].expected
        <Kind.PROVED_FOR_ALL_SIZES: 'ALGEBRA PROVED FOR ALL SIZES'>
    """
    return {claim.name: claim for name in GROUPS for claim in group(name)}


def find(names: str | Sequence[str] = ()) -> list[Claim]:
    """The claims with these names.

    Args:
        names: one name, or several, of claims or groups; a name of both is the claim. No names: all claims.

    Returns:
        The claims in the order of the names, each once.

    Raises:
        UnknownClaimError: when a name is neither a claim nor a group; the message lists the nearest names.

    Example:
        >>> [claim.name for claim in find("lemma-3")]
        ['lemma-3']
        >>> [claim.name for claim in find(["weight-space", "lemma-3"])]
        ['eq-8-argmin', 'eq-8-value', 'theorem-4-space-as-printed', 'theorem-4-space', 'lemma-3']
    """
    wanted = [names] if isinstance(names, str) else names or GROUPS
    subject = {claim: name for name, words in statements().items() for claim in words}
    chosen: dict[str, Claim] = {}
    for name in wanted:
        if name not in subject and name not in GROUPS:
            raise UnknownClaimError(name, difflib.get_close_matches(name, [*subject, *GROUPS], n=4, cutoff=0.7))
        members = {claim.name: claim for claim in group(subject.get(name, name))}
        chosen |= {name: members[name]} if name in subject else members
    return list(chosen.values())


def verify(
    names: str | Sequence[str] = (), *, max_K: int | None = None, jobs: int = 1
) -> Iterator[tuple[Claim, Verdict]]:
    """Verify the claims with these names, one after the other.

    Args:
        names: as for `find`.
        max_K: the largest kernel length K at which the identities in K are checked; None leaves each claim its own.
        jobs: how many processes share the work.

    Returns:
        An iterator over (claim, verdict), in order, each as soon as it is done.

    Raises:
        UnknownClaimError: when a name is neither a claim nor a group.
        ValueError: when max_K < 1.

    Example:
        >>> [(claim.name, str(verdict.kind)) for claim, verdict in verify("eq-8-value")]
        [('eq-8-value', 'PROVED')]
    """
    chosen = find(names)
    if jobs == 1 or len(chosen) < 8:  # starting workers costs as long as a few claims
        for claim in chosen:
            yield claim, claim.verify(max_K if claim.size == "K" else None)
        return
    workers = {"initializer": become_worker, "initargs": (os.getpid(),)}
    parallel = Parallel(n_jobs=jobs, return_as="generator", batch_size=1, **workers)
    # a claim holds lambdas; its name travels to the worker instead
    verdicts = parallel(delayed(_verify_named)(claim.name, max_K) for claim in chosen)
    yield from zip(chosen, verdicts, strict=True)


def _verify_named(name: str, max_K: int | None) -> Verdict:
    (claim,) = find(name)
    return claim.verify(max_K if claim.size == "K" else None)
