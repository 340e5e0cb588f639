"""What a module says about itself, read in one place. Every field has a default, so any torch module will do.

A network of this package, a subclass of one, and a user's own module are read alike: by the attributes they have, never
by their class. What a module leaves out is measured (`degree`), computed by automatic differentiation (`margin_map`)
or not available (`regularizer`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from solvers.regularizers import Regularizer
from solvers.validation import check_regularizer

if TYPE_CHECKING:
    from gd.flow.margin_map import MarginMap
    from gd.networks.linear_network import LinearNetwork
    from gd.squared.tangent import TangentBundle
    from gd.targets import ClassTargets


@dataclass(frozen=True)
class Declaration:
    """The optional attributes of a module that training and the flows make use of."""

    linear_network: LinearNetwork | None
    """The module itself where it computes ⟨x, P(w)⟩ layer by layer (`gd.networks.linear_network`)."""
    compose: Callable[[], Tensor] | None
    """The predictor β from the current parameters, differentiable."""
    regularizer: Regularizer | None
    """The regularizer that the map from weights to predictors induces, where a closed form is known."""
    degree: int | None
    """L with f(x; c·w) = c^L f(x; w)."""
    locked_signs: NDArray[np.bool_]
    """Which coefficients the initialization keeps from changing sign, of the predictor's shape."""
    sign_locked: str | None
    """Which coefficients of β the initialization keeps from changing sign, in words."""
    margin_map: Callable[[Tensor, Tensor], MarginMap | None] | None
    """(X, y) to the margins and their Jacobian in closed form."""
    class_margin_map: Callable[[Tensor, ClassTargets], MarginMap | None] | None
    """The same for several classes."""
    tangent_bundle: Callable[..., TangentBundle] | None
    """(models, X, device) to the outputs and the tangent kernel of several such modules in closed form."""
    has_inputs: bool
    """False for generators, whose output is a function of the weights alone."""


def can_certify(regularizer: Regularizer) -> bool:
    """Whether something can be proved in R: not where its author left open what a certificate computes with."""
    try:
        if regularizer.is_norm:
            regularizer.dual_norm(np.ones(1))
        else:
            regularizer.support_system(np.ones(1), np.ones((1, 1)))
    except NotImplementedError:
        return False
    except Exception:  # it wants another shape
        return True
    return True


def _regularizer(given: object, *, for_sure: bool) -> Regularizer | None:
    """The object, or the one of that name; None for what else a module may use the attribute for, as a weight decay.

    Raises ValueError for an unknown name of what is `for_sure` a regularizer: in a `LinearNetwork`.
    """
    if isinstance(given, str):
        try:
            given = check_regularizer(given)
        except ValueError:
            if for_sure:
                raise
            return None
    return given if isinstance(given, Regularizer) and can_certify(given) else None


def declared(model: nn.Module) -> Declaration:
    """The declaration of a module; None (`has_inputs`: True) for whatever it does not have.

    Raises ValueError where the regularizer of a `LinearNetwork` is a name of none.
    """
    degree, given = getattr(model, "degree", None), getattr(model, "regularizer", None)
    linear_network = getattr(model, "linear_network", None)
    known = _regularizer(given, for_sure=linear_network is not None)
    # a closed form certifies in the regularizer that the module says
    closed = model if known is not None or not isinstance(given, Regularizer) else None
    return Declaration(
        linear_network=linear_network,
        compose=getattr(model, "compose", None),
        regularizer=known,
        degree=None if degree is None else int(degree),
        locked_signs=getattr(model, "locked_signs", np.zeros(1, dtype=bool)),
        sign_locked=getattr(model, "sign_locked", None),
        margin_map=getattr(closed, "margin_map", None),
        class_margin_map=getattr(closed, "class_margin_map", None),
        tangent_bundle=getattr(model, "tangent_bundle", None),
        has_inputs=getattr(model, "has_inputs", True),
    )
