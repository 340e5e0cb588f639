"""The claims behind the formulas, checked symbolically or by ball arithmetic."""

from proofs.catalogue import UnknownClaimError, claims, find, verify
from proofs.claim import Claim, Kind, Mutant, Step, Verdict

__all__ = [
    "Claim", "Kind", "Mutant", "Step", "Verdict",
    "UnknownClaimError", "claims", "find", "verify",
]
