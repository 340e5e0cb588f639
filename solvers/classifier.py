"""Max margin as a scikit-learn classifier, for pipelines and grid search; only this file needs scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from solvers.max_margin import max_margin
from solvers.regularization_path import regularization_path
from solvers.regularizers.l2 import L2
from solvers.regularizers.regularizer import Regularizer
from solvers.solution import Certificate, NotSeparableError


class MaxMarginClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The classifier sign⟨x, β⟩ that a linear network's gradient descent is biased to:

        min R(β)   s.t.   y_n ⟨x_n, β⟩ ≥ 1.

    There is no intercept, as there is none in the theorems: append a column of ones to X for one (it is then
    penalized like every other coefficient).

    Args:
        regularizer: R, a norm or a bridge penalty. None is L2(): the default of a scikit-learn constructor must not
            be an object of its own, and elsewhere in this package None is refused.
        tol: of the certificate, relative.
        on_nonseparable: "raise" — data that no predictor separates are refused with their Farkas certificate; "soft" —
            they get the predictor of least logistic loss with R(β) ≤ radius instead (R must be a norm), and
            `certificate_` is None.
        radius: the c of "soft", in units of R.

    Attributes:
        coef_: β, shape (1, n_features). classes_: the two labels; the second is the positive one.
        intercept_: 0, shape (1,).
        margin_: 1/R(β), the R-margin of the training data; 0 when it is not separable.
        certificate_: the proof; None after "soft".
        separable_: whether the training data are.
        n_iter_: gradient steps after "soft", else 1.

    Raises:
        NotSeparableError: at fit, with on_nonseparable="raise".
        ValueError: not exactly two classes, invalid parameters or data.

    >>> from solvers.regularizers import Bridge
    >>> model = MaxMarginClassifier(Bridge(1)).fit([[2.0, 1.0], [-1.0, 0.0]], ["yes", "no"])
    >>> model.predict([[3.0, 0.0]]).tolist(), model.margin_
    (['yes'], 1.0)
    """

    def __init__(
        self,
        regularizer: Regularizer | None = None,
        *,
        tol: float = 1e-9,
        on_nonseparable: str = "raise",
        radius: float = 100.0,
    ) -> None:
        self.regularizer = regularizer
        self.tol = tol
        self.on_nonseparable = on_nonseparable
        self.radius = radius

    def fit(self, X: ArrayLike, y: ArrayLike) -> MaxMarginClassifier:
        """Solve for β. X has shape (n_samples, n_features), y two distinct labels."""
        if self.on_nonseparable not in ("raise", "soft"):
            raise ValueError(f'on_nonseparable must be "raise" or "soft"; got {self.on_nonseparable!r}')
        points, targets = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(targets)
        if (kind := type_of_target(targets)) == "multiclass":
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}: "
                f"{np.unique(targets).size} classes"
            )
        self.classes_, encoded = np.unique(targets, return_inverse=True)
        if self.classes_.size != 2:
            raise ValueError(f"MaxMarginClassifier separates two classes; got one class: {self.classes_.tolist()}")
        labels = 2.0 * encoded - 1.0
        regularizer = L2() if self.regularizer is None else self.regularizer
        self.certificate_: Certificate | None = None
        self.n_iter_ = 1
        try:
            solution = max_margin(points, labels, regularizer, tol=self.tol)
        except NotSeparableError:
            if self.on_nonseparable == "raise":
                raise
            path = regularization_path(points, labels, [self.radius], regularizer)
            beta, self.separable_, self.margin_ = path.predictors[0], False, 0.0
            self.n_iter_ = max(int(path.iterations[0]), 1)
        else:
            beta, self.separable_ = solution.beta, True
            self.certificate_, self.margin_ = solution.certificate, 1.0 / solution.objective
        self.coef_ = beta[None, :]
        self.intercept_ = np.zeros(1)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """⟨x, β⟩, shape (n_samples,); at least 1 in absolute value on separable training data."""
        check_is_fitted(self)
        points = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray(points @ self.coef_[0])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The class on each point's side, shape (n_samples,)."""
        check_is_fitted(self)
        return np.asarray(self.classes_[(self.decision_function(X) > 0).astype(int)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
