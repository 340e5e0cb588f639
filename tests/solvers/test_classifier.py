"""The scikit-learn estimator: its own examination, and the numbers it hands through."""

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn import __version__ as sklearn_version
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import tensor

from solvers import L2, Bridge, FourierBridge, MaxMarginClassifier, NotSeparableError, max_margin

# These checks train on data that no predictor through the origin separates, which "raise" refuses by design.
NON_SEPARABLE = (
    "check_fit_score_takes_y", "check_estimators_overwrite_params", "check_dont_overwrite_parameters",
    "check_estimators_fit_returns_self", "check_readonly_memmap_input", "check_n_features_in_after_fitting",
    "check_estimators_dtypes", "check_dtype_object", "check_pipeline_consistency", "check_estimators_nan_inf",
    "check_estimators_pickle", "check_f_contiguous_array_estimator", "check_classifier_data_not_an_array",
    "check_classifiers_train", "check_supervised_y_2d", "check_methods_sample_order_invariance",
    "check_methods_subset_invariance", "check_fit2d_1feature", "check_dict_unchanged", "check_fit_idempotent",
    "check_estimator_sparse_tag", "check_estimator_sparse_array", "check_estimator_sparse_matrix",
    "check_fit_check_is_fitted", "check_n_features_in", "check_fit2d_predict1d", "check_positive_only_tag_during_fit",
)  # fmt: skip


def expected_failures(estimator: MaxMarginClassifier) -> dict[str, str]:
    if estimator.on_nonseparable == "soft":
        return {}
    separable = {"check_dtype_object"} if tuple(map(int, sklearn_version.split(".")[:2])) < (1, 8) else set()
    names = set(NON_SEPARABLE) - separable  # by the data that it had before 1.8
    return dict.fromkeys(names, "the check's training data are not separable")


@pytest.mark.filterwarnings("ignore")  # the checks warn about their own skips
@parametrize_with_checks(
    [MaxMarginClassifier(on_nonseparable="soft", radius=3.0, tol=1e-6), MaxMarginClassifier()],
    expected_failed_checks=expected_failures,
)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    keep = np.isin(y, (3, 8))
    return X[keep] / 16.0, y[keep]


@pytest.mark.parametrize("regularizer", [L2(), Bridge(1), FourierBridge(1)], ids=str)
def test_agrees_with_max_margin_on_digits(digits, regularizer):
    X, y = digits
    model = MaxMarginClassifier(regularizer).fit(X, y)
    solution = max_margin(X, np.where(y == 8, 1, -1), regularizer)
    np.testing.assert_array_equal(model.coef_[0], solution.beta)
    assert model.margin_ == pytest.approx(1.0 / solution.objective)
    assert model.certificate_.worst <= 1e-9
    assert model.score(X, y) == 1.0
    assert np.abs(model.decision_function(X)).min() >= 1.0 - 1e-9


def test_pipeline_grid_search_and_data_frame(digits):
    X, y = digits
    frame = pd.DataFrame(X[::3], columns=[f"pixel {i}" for i in range(64)])
    pipeline = make_pipeline(StandardScaler(), MaxMarginClassifier(on_nonseparable="soft"))
    search = GridSearchCV(pipeline, {"maxmarginclassifier__regularizer": [L2(), Bridge(1)]}, cv=3).fit(frame, y[::3])
    assert search.best_score_ > 0.9
    assert search.best_estimator_.feature_names_in_.tolist() == frame.columns.tolist()


def test_non_separable_data_raise_or_go_soft():
    X, y = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0, 1, 1]
    with pytest.raises(NotSeparableError) as refused:
        MaxMarginClassifier().fit(X, y)
    assert np.abs(refused.value.farkas @ (np.array([-1, 1, 1])[:, None] * np.array(X))).max() < 1e-12
    soft = MaxMarginClassifier(on_nonseparable="soft", radius=2.0).fit(X, y)
    assert not soft.separable_
    assert soft.certificate_ is None
    assert soft.margin_ == 0.0
    # by hand: the contradictory pair is indifferent to its own direction, so all of the radius goes to the third point
    np.testing.assert_allclose(soft.coef_[0], [0.0, 2.0], atol=2e-3)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([[1.0], [2.0]], [1, 1], "one class"),
        ([[1.0], [2.0], [3.0]], [0.5, 1.0, 2.0], "Unknown label type"),
    ],
)
def test_refusals(X, y, message):
    with pytest.raises(ValueError, match=message):
        MaxMarginClassifier().fit(X, y)
    with pytest.raises(ValueError, match="on_nonseparable"):
        MaxMarginClassifier(on_nonseparable="maybe").fit([[1.0], [-1.0]], [0, 1])


def test_soft_with_an_intercept_is_logistic_regression_in_a_ball() -> None:
    """cvxpy's solution, at which b is not penalized; moved points move b alone."""
    rng = np.random.default_rng(6)
    X = rng.standard_normal((40, 3))
    y = X[:, 0] + 1.5 * rng.standard_normal(40) > 0.8
    model = MaxMarginClassifier("l1", on_nonseparable="soft", radius=0.5, fit_intercept=True, tol=1e-8).fit(X, y)
    beta, b = cp.Variable(3), cp.Variable()
    loss = cp.sum(cp.logistic(-cp.multiply(np.where(y, 1.0, -1.0), X @ beta + b)))
    least = cp.Problem(cp.Minimize(loss), [cp.norm1(beta) <= 0.5]).solve(solver="CLARABEL")
    reached = np.logaddexp(0, -np.where(y, 1.0, -1.0) * model.decision_function(X)).sum()
    assert not model.separable_
    assert reached == pytest.approx(least, rel=1e-6)
    assert model.intercept_[0] == pytest.approx(float(b.value), abs=1e-3)
    moved = MaxMarginClassifier("l1", on_nonseparable="soft", radius=0.5, fit_intercept=True, tol=1e-8).fit(X + 50, y)
    np.testing.assert_allclose(moved.decision_function(X + 50), model.decision_function(X), atol=1e-4)


def test_what_scikit_learn_would_misread() -> None:
    X, y = np.array([[2.0, 1.0], [-1.0, 0.0], [1.0, 3.0]]), np.array([1, 0, 1])
    fitted = MaxMarginClassifier().fit(X, y)
    for points in (csr_array(X), tensor(X, requires_grad=True)):
        np.testing.assert_allclose(MaxMarginClassifier().fit(points, y).coef_, fitted.coef_, rtol=1e-12)
        np.testing.assert_allclose(fitted.decision_function(points), fitted.decision_function(X), rtol=1e-12)
    hidden = np.ma.array(X, mask=[[0, 0], [0, 1], [0, 0]])
    dates = np.array(["2020-01-01", "NaT", "2020-01-02"], dtype="datetime64[s]")
    for bad in (hidden, list(hidden), np.column_stack([dates, dates])):
        with pytest.raises(ValueError, match=r"NaN|dates"):
            MaxMarginClassifier().fit(bad, y)
        with pytest.raises(ValueError, match=r"NaN|dates"):
            fitted.predict(bad)
    for labels in (np.ma.array(y, mask=[0, 1, 0]), dates):
        with pytest.raises(ValueError, match=r"NaN|dates"):
            MaxMarginClassifier().fit(X, labels)
