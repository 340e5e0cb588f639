"""The scikit-learn estimator: its own examination, and the numbers it hands through."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from solvers import L2, Bridge, FourierBridge, MaxMarginClassifier, NotSeparableError, max_margin

# These checks train on data that no predictor through the origin separates, which "raise" refuses by design.
NON_SEPARABLE = (
    "check_fit_score_takes_y", "check_estimators_overwrite_params", "check_dont_overwrite_parameters",
    "check_estimators_fit_returns_self", "check_readonly_memmap_input", "check_n_features_in_after_fitting",
    "check_estimators_dtypes", "check_dtype_object", "check_pipeline_consistency", "check_estimators_nan_inf",
    "check_estimators_pickle", "check_f_contiguous_array_estimator", "check_classifier_data_not_an_array",
    "check_classifiers_train", "check_supervised_y_2d", "check_methods_sample_order_invariance",
    "check_methods_subset_invariance", "check_fit2d_1feature", "check_dict_unchanged", "check_fit_idempotent",
    "check_fit_check_is_fitted", "check_n_features_in", "check_fit2d_predict1d", "check_positive_only_tag_during_fit",
)  # fmt: skip


def expected_failures(estimator: MaxMarginClassifier) -> dict[str, str]:
    if estimator.on_nonseparable == "soft":
        return {}
    return dict.fromkeys(NON_SEPARABLE, "the check's training data are not separable")


@pytest.mark.filterwarnings("ignore")  # the checks warn about their own skips
@parametrize_with_checks(
    [MaxMarginClassifier(on_nonseparable="soft"), MaxMarginClassifier()], expected_failed_checks=expected_failures
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
