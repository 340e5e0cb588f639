"""Max margin as a scikit-learn classifier, for pipelines and grid search; only this file needs scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from solvers.arrays import plain_array, real_array
from solvers.margin_losses import Loss
from solvers.max_margin import max_margin
from solvers.regularization_path import regularization_path
from solvers.regularizers.l2 import L2
from solvers.regularizers.regularizer import Regularizer
from solvers.solution import Certificate, NotSeparableError
from solvers.validation import check_regularizer


class MaxMarginClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The classifier that a linear network's gradient descent is biased to: sign⟨x, β⟩ for two classes,

        min R(β)   s.t.   y_n ⟨x_n, β⟩ ≥ 1,

    and argmax_k ⟨x, w_k⟩ for K ≥ 3, all classes in one problem,

        min R(W)   s.t.   ⟨w_{y_n} − w_k, x_n⟩ ≥ 1   for every k ≠ y_n.

    There is no intercept unless asked for, as there is none in the theorems.

    Args:
        regularizer: R, a norm or a bridge penalty, or its name, such as "l1". None is L2(): the default of a
            scikit-learn constructor must not be an object of its own, and elsewhere in this package None is refused.
        tol: of the certificate, relative; with "soft" of the loss's duality gap, as in `regularization_path`.
        on_nonseparable: "raise" — data that no predictor separates are refused with their Farkas certificate; "soft" —
            they get the predictor of least logistic loss (cross entropy) with R(β) ≤ radius instead (R must be a norm),
            and `certificate_` is None.
        radius: the c of "soft", in units of R.
        fit_intercept: whether there is an intercept, which R does not penalize. (A column of ones in X is an intercept
            that is penalized.)

    Attributes:
        coef_: β, shape (1, n_features), or W, shape (n_classes, n_features), for three classes and more.
        classes_: the labels in order; of two the second is the positive one, of more row k of W belongs to number k.
        intercept_: b, shape (1,) or (n_classes,); 0 without fit_intercept.
        margin_: 1/R(β), the R-margin of the training data; 0 when it is not separable.
        certificate_: the proof; None after "soft".
        separable_: whether the training data are.
        n_iter_: gradient steps after "soft", else 1.

    Raises:
        NotSeparableError: at fit, with on_nonseparable="raise".
        ValueError: fewer than two classes, a regularizer of one output with three classes, invalid parameters or data.

    Reference: Crammer, Singer (2001), for the problem of several classes; Soudry et al. (2018), that
    gradient descent on the cross entropy ends at it.

    >>> from solvers.regularizers import Bridge
    >>> model = MaxMarginClassifier(Bridge(1)).fit([[2.0, 1.0], [-1.0, 0.0]], ["yes", "no"])
    >>> model.predict([[3.0, 0.0]]).tolist(), model.margin_
    (['yes'], 1.0)
    """

    def __init__(
        self,
        regularizer: Regularizer | str | None = None,
        *,
        tol: float = 1e-9,
        on_nonseparable: str = "raise",
        radius: float = 100.0,
        fit_intercept: bool = False,
    ) -> None:
        self.regularizer = regularizer
        self.tol = tol
        self.on_nonseparable = on_nonseparable
        self.radius = radius
        self.fit_intercept = fit_intercept

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike) -> MaxMarginClassifier:
        """Solve for β. X has shape (n_samples, n_features), y two distinct labels or more."""
        if self.on_nonseparable not in ("raise", "soft"):
            raise ValueError(f'on_nonseparable must be "raise" or "soft"; got {self.on_nonseparable!r}')
        points, targets = validate_data(self, readable("X", X), readable("y", y), accept_sparse="csr", dtype=np.float64)
        check_classification_targets(targets)
        self.classes_, encoded = np.unique(targets, return_inverse=True)
        if self.classes_.size < 2:
            raise ValueError(f"MaxMarginClassifier separates classes; got one class: {self.classes_.tolist()}")
        labels = 2.0 * encoded - 1.0 if self.classes_.size == 2 else encoded
        regularizer = L2() if self.regularizer is None else check_regularizer(self.regularizer)
        self.certificate_: Certificate | None = None
        self.n_iter_ = 1
        try:
            solution = max_margin(points, labels, regularizer, tol=self.tol, fit_intercept=self.fit_intercept)
        except NotSeparableError:
            if self.on_nonseparable == "raise":
                raise
            loss: Loss = "logistic" if self.classes_.size == 2 else "cross entropy"
            path = regularization_path(
                points, labels, [self.radius], regularizer, loss=loss, tol=self.tol, fit_intercept=self.fit_intercept
            )
            beta, self.separable_, self.margin_ = path.predictors[0], False, 0.0
            intercept: float | NDArray[np.float64] = path.intercepts[0]
            self.n_iter_ = max(int(path.iterations[0]), 1)
        else:
            beta, self.separable_, intercept = solution.beta, True, solution.intercept
            self.certificate_, self.margin_ = solution.certificate, 1.0 / solution.objective
        self.coef_ = np.atleast_2d(beta)
        self.intercept_ = np.zeros(len(self.coef_)) + intercept
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """⟨x, β⟩ + b, shape (n_samples,), or ⟨x, w_k⟩ + b_k, (n_samples, n_classes), for three classes and more.

        On separable training data the first is at least 1 in absolute value, and of the second each point's own class
        is ahead of the others by at least 1.
        """
        check_is_fitted(self)
        points = validate_data(self, readable("X", X), accept_sparse="csr", dtype=np.float64, reset=False)
        scores = np.asarray(points @ self.coef_.T) + self.intercept_
        return scores[:, 0] if len(self.coef_) == 1 else scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The class of each point, shape (n_samples,)."""
        scores = self.decision_function(X)
        chosen = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return np.asarray(self.classes_[chosen])


def readable(name: str, value: Any) -> Any:
    """What scikit-learn would misread: masked entries as nan, a tensor out of its graph. Everything else as it is.

    Raises ValueError for dates and durations.
    """
    listed = isinstance(value, list | tuple) and any(map(np.ma.isMaskedArray, value))
    found = plain_array(value) if hasattr(value, "detach") or listed or np.ma.isMaskedArray(value) else value
    return real_array(name, found) if getattr(getattr(found, "dtype", None), "kind", "") in ("m", "M") else found
