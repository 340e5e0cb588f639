"""The claims behind the formulas, checked symbolically or by ball arithmetic."""

from proofs.catalogue import UnknownClaimError, claims, find, verify
from proofs.certified_factor import CertifiedFactor, spectral_factor
from proofs.claim import Claim, Kind, Mutant, Step, Verdict
from proofs.exact_factor import ExactFactor, exact_spectral_factor
from proofs.lemma import LemmaVerdict, verify_lemma

__all__ = [
    "Claim",
    "Kind",
    "Mutant",
    "Step",
    "Verdict",
    "UnknownClaimError",
    "claims",
    "find",
    "verify",
    "LemmaVerdict",
    "verify_lemma",
    "CertifiedFactor",
    "ExactFactor",
    "exact_spectral_factor",
    "spectral_factor",
]
