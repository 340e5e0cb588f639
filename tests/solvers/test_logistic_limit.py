"""Data that do not separate: the split against linear programs, the limit against closed forms and other solvers."""

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from solvers import L2, IllConditionedError, NotSeparableError, SplitProof, logistic_limit, max_margin
from solvers.algorithms.exact_null_space import integers, null_space
from solvers.algorithms.finite_minimum import finite_minimum
from solvers.margin_losses import ExponentialLoss, LogExponentialLoss, LogisticLoss
from solvers.separable_part import _proved, separable_part

EXAMPLE = np.array([[1.0, 0, 0], [-2, 0, 0], [0.5, 1, 1], [0, 2, 1], [3, 0, 2]])


def separable_by_programs(A):
    """Row by row: max ⟨a_n, β⟩ over Aβ ≥ 0 in a box is positive exactly on the separable part."""
    box = {"A_ub": -A, "b_ub": np.zeros(len(A)), "bounds": [(-1, 1)] * A.shape[1]}
    return np.array([-linprog(-a, **box).fun > 1e-9 for a in A])


def planted(seed):
    """Small integers: ties, dependent rows and opposite rows are common, and half of the splits are proper."""
    rng = np.random.default_rng(seed)
    n, d = rng.integers(1, 14), rng.integers(1, 6)
    A = rng.integers(-2, 3, (n, d)).astype(float)
    if seed % 2:
        A[: rng.integers(0, n + 1), rng.integers(0, d + 1) :] = 0
    return A


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_the_example_of_three_dimensions(loss):
    """The rows (1,0,0), (−2,0,0) balance at e^{−x} = 2e^{2x}, and at 2x³ + x² = 1 for the logistic loss, x = e^v."""
    limit = logistic_limit(EXAMPLE, np.ones(5), loss=loss)
    assert limit.separable.tolist() == [False, False, True, True, True]
    np.testing.assert_allclose(limit.direction, [0, 0.5, 0.5], atol=1e-15)
    root = max(np.roots([2.0, 1.0, 0.0, -1.0]), key=np.real).real
    expected = -np.log(2.0) / 3.0 if loss == "exponential" else np.log(root)
    np.testing.assert_allclose(limit.finite_part, [expected, 0, 0], atol=1e-15)
    assert loss == "exponential" or expected == pytest.approx(-0.41961762499, abs=1e-11)
    assert limit.certificate.proof is SplitProof.EXACT
    assert abs(limit.certificate.loss_gap) <= 1e-15
    np.testing.assert_allclose(limit.project([3.0, 1.0, 2.0]), [3, 0, 0], atol=1e-15)
    np.testing.assert_allclose(limit.predictor(40.0), [expected, 20, 20], atol=1e-13)


def test_the_split_is_that_of_linear_programs_and_proved_exactly():
    for seed in range(40):
        A = planted(seed)
        if not A.any():
            continue
        units = 10.0 ** np.random.default_rng(seed).integers(-3, 4, A.shape[1]) if seed % 3 == 0 else 1.0
        split = separable_part(A * units)
        assert (split.separable == separable_by_programs(A)).all()
        assert split.proof is SplitProof.EXACT
        assert ((split.multipliers > 0) == ~split.separable).all()
        np.testing.assert_allclose((split.multipliers[:, None] * A * units).sum(axis=0) / units, 0, atol=1e-13)
        assert (np.abs(A * units @ split.direction)[~split.separable] <= 1e-12 * np.max(units)).all()


def test_the_limit_does_not_depend_on_labels_or_units():
    """(x, y) and (yx, 1) are one problem; rows and columns in other units have the same split."""
    rng = np.random.default_rng(3)
    A = planted(7)
    y = rng.choice([-1.0, 1.0], len(A))
    one, other = logistic_limit(y[:, None] * A, y), logistic_limit(A, np.ones(len(A)))
    np.testing.assert_array_equal(one.direction, other.direction)
    np.testing.assert_array_equal(one.finite_part, other.finite_part)
    scaled = logistic_limit(A * 2.0 ** rng.integers(-30, 30, A.shape[1]), np.ones(len(A)))
    assert (scaled.separable == other.separable).all()


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_the_finite_part_is_the_least_loss_of_the_rest(loss):
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    rest, more = np.zeros((30, 6)), rng.standard_normal((9, 6))
    rest[:, :3] = rng.standard_normal((30, 3))
    more[:, 4] = np.abs(more[:, 4]) + 0.1
    A = np.vstack([rest, more]) @ turn
    limit = logistic_limit(A, np.ones(39), loss=loss)
    assert limit.separable.tolist() == [False] * 30 + [True] * 9
    assert limit.subspace.shape == (3, 6)
    assert limit.certificate.proof is SplitProof.ROUNDING  # turned, the rows depend on each other up to rounding only
    value = ExponentialLoss().value if loss == "exponential" else LogisticLoss().value
    found = minimize(lambda v: value(A[:30] @ turn.T[:, :3] @ v), np.zeros(3), options={"gtol": 1e-9})
    np.testing.assert_allclose(limit.finite_part, turn.T[:, :3] @ found.x, atol=1e-6)
    assert limit.loss == pytest.approx(found.fun, rel=1e-12)
    # the direction: the same max margin by cvxpy, over vectors orthogonal to the rest
    u = cp.Variable(6)
    cp.Problem(cp.Minimize(cp.norm2(u)), [A[:30] @ u == 0, A[30:] @ u >= 1]).solve(solver="CLARABEL")
    np.testing.assert_allclose(limit.direction, u.value, atol=1e-7)
    assert limit.certificate.direction.worst <= 1e-12


def test_both_ends():
    """All rows separate: the max margin, no finite part. None does: no direction, and the minimizer of the loss."""
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((10, 20)), np.sign(rng.standard_normal(10))
    limit = logistic_limit(X, y)
    np.testing.assert_array_equal(limit.direction, max_margin(X, y, L2()).beta)
    assert limit.separable.all()
    assert not limit.finite_part.any()
    assert (limit.loss, limit.subspace.shape) == (0.0, (0, 20))
    X, y = rng.standard_normal((60, 4)), np.sign(rng.standard_normal(60))
    limit = logistic_limit(X, y)
    assert not limit.separable.any()
    assert not limit.direction.any()
    assert limit.certificate.direction is None
    at = limit.finite_part
    np.testing.assert_allclose((y / (1 + np.exp(y * (X @ at)))) @ X, 0, atol=1e-12)


def test_outputs_are_tasks_of_their_own():
    rng = np.random.default_rng(2)
    X, noise = rng.standard_normal((30, 4)), np.sign(rng.standard_normal(30))
    limit = logistic_limit(X, np.stack([np.sign(X[:, 0]), noise], axis=1))
    first, second = logistic_limit(X, np.sign(X[:, 0])), logistic_limit(X, noise)
    assert limit.separable[:, 0].all()
    assert not limit.separable[:, 1].any()
    np.testing.assert_allclose(limit.direction, [first.direction, second.direction], atol=1e-9)
    np.testing.assert_allclose(limit.finite_part, [first.finite_part, second.finite_part], atol=1e-9)


@pytest.mark.parametrize("power", [2, 5, 8])
def test_nearly_separable_and_nearly_not(power):
    """A minimizer ln(1/ε) margins away; and a direction of length 2/ε."""
    eps = 10.0**-power
    limit = logistic_limit([[1.0, 0.0], [-1.0, eps], [0.0, -1.0]], [1, 1, 1])
    assert not limit.separable.any()
    assert abs(limit.certificate.loss_gap) <= 1e-14
    limit = logistic_limit([[1.0, 0.0], [-1.0, eps], [0.0, 1.0]], [1, 1, 1])
    assert limit.separable.all()
    np.testing.assert_allclose(limit.direction, [1.0, 2.0 / eps], rtol=1e-6)


@pytest.mark.parametrize("power", [11, 12, 13])
def test_tiny_margins_are_decided_exactly(power):
    """The linear program drops entries of that size: it takes the first two rows for opposite ones."""
    eps = 10.0**-power
    apart = separable_part(np.array([[1.0, 0.0], [-1.0, eps], [0.0, 1.0]]))
    assert (apart.separable.all(), apart.proof) == (True, SplitProof.EXACT)
    assert apart.margin == pytest.approx(eps / 2, rel=1e-6)
    limit = logistic_limit([[1.0, 0.0], [-1.0, eps], [0.0, -1.0]], [1, 1, 1])
    assert not limit.separable.any()
    assert limit.certificate.proof is SplitProof.EXACT
    assert limit.certificate.split.multipliers.min() == pytest.approx(eps, rel=1e-2)
    assert abs(limit.certificate.loss_gap) <= 1e-14


def test_what_rounding_decides_is_refused_or_not_called_exact():
    with pytest.raises(IllConditionedError, match=r"margins of 5\.0e-16 or less"):
        logistic_limit([[1.0, 0.0], [-1.0, 1e-15], [0.0, 1.0]], [1, 1, 1])
    rng = np.random.default_rng(4)
    shares = rng.random((40, 3))
    X = np.column_stack([shares / shares.sum(axis=1, keepdims=True), np.ones(40)])  # dependent, but not in float64
    split = separable_part(np.where(rng.random(40) < 0.5, -1.0, 1.0)[:, None] * X)
    assert (split.span.shape[0], split.proof) == (3, SplitProof.ROUNDING)


def test_a_wrong_split_is_not_proved():
    """The checker has to reject every other split of the example."""
    right = separable_part(EXAMPLE)
    assert _proved(EXAMPLE, right.separable, right.direction, right.multipliers, 1)
    for wrong in range(1, 32):
        S = right.separable ^ np.array([bool(wrong >> n & 1) for n in range(5)])
        rank = int(np.linalg.matrix_rank(EXAMPLE[~S])) if (~S).any() else 0
        assert not _proved(EXAMPLE, S, right.direction, np.where(S, 0.0, 1.0), rank)
    moved = EXAMPLE + np.array([0, 1e-15, 0]) * (np.arange(5) == 1)[:, None]  # rank 2 in the last digit
    assert not _proved(moved, right.separable, right.direction, right.multipliers, 1)


def test_the_null_space_is_exact():
    rng = np.random.default_rng(5)
    A = rng.standard_normal((4, 7)) * 10.0 ** rng.integers(-9, 9, 7)
    null = null_space(A)
    assert null.annihilates(integers(A))
    assert not null.annihilates(integers(A * (1 + 2e-16 * rng.standard_normal(A.shape))))
    u = rng.standard_normal(7)
    assert not (integers(A) @ null.lifted(u)).any()
    assert (np.sign(null.lifted(u)[null.free].astype(float)) == np.sign(u[null.free])).all()
    assert null_space(np.vstack([A, A[0] * 4])) is None
    line = null_space(np.array([[1.0, 2.0]]))  # one free coordinate: its sign is kept
    assert np.sign(line.lifted(np.array([2.0, -1.0])).astype(float)).tolist() == [1, -1]


@pytest.mark.parametrize("loss", [LogisticLoss(), LogisticLoss(3), ExponentialLoss(), LogExponentialLoss()], ids=str)
def test_losses_by_differences_and_their_bound(loss):
    rng = np.random.default_rng(6)
    A, w = rng.standard_normal((12, 4)), rng.standard_normal(4)
    m = A @ w
    p, steps = loss.weights(m), 1e-6 * np.eye(4)
    slope = [(loss.value(A @ (w + s)) - loss.value(A @ (w - s))) / 2e-6 for s in steps]
    np.testing.assert_allclose(slope, -p @ A, atol=1e-8)
    root = loss.curvature_rows(m, A)
    bend = [(loss.weights(A @ (w - s)) - loss.weights(A @ (w + s))) @ A / 2e-6 for s in steps]
    np.testing.assert_allclose(root.T @ root, bend, atol=1e-8)
    assert loss.value(m) + p @ m == pytest.approx(loss.entropy(p), abs=1e-12)  # equality at p = −L′(m)
    other = rng.standard_normal(12)
    assert loss.value(other) >= loss.entropy(p) - p @ other


def test_the_bound_rejects_a_point_that_is_no_minimum():
    rng = np.random.default_rng(7)
    B = np.vstack([rng.standard_normal((20, 3)), -np.ones((1, 3)), -np.eye(3)])
    found, early = finite_minimum(B, LogisticLoss()), finite_minimum(B, LogisticLoss(), max_steps=2)
    assert found.gap <= 1e-14 * found.value
    assert early.gap >= early.value - found.value > 1e-3


def test_the_error_carries_the_split():
    with pytest.raises(NotSeparableError, match="logistic_limit") as caught:
        max_margin(EXAMPLE, np.ones(5), L2())
    assert caught.value.split.separable.tolist() == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(([[1.0]], [2]), "labels must be"), (([[np.nan]], [1]), "finite"), (([1.0], [1]), "shape")],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        logistic_limit(*arguments)
    with pytest.raises(ValueError, match="loss must be"):
        logistic_limit([[1.0]], [1], loss="hinge")


@pytest.mark.parametrize("loss", ["cross entropy", "logistic", "exponential"])
def test_three_classes(loss):
    """Two classes that overlap, and a third apart from both: the finite part by another minimizer."""
    rng = np.random.default_rng(8)
    X, y = rng.standard_normal((40, 3)), np.where(rng.random(40) < 0.5, "a", "b")
    apart = np.array([0.0, 0.0, 9.0])
    X, y = np.vstack([X * [1, 1, 0], apart + rng.standard_normal((15, 3))]), np.append(y, ["c"] * 15)
    limit = logistic_limit(X, y, loss=loss)
    assert limit.separable.shape == (55, 2)
    own = np.searchsorted(["a", "b", "c"], y)
    overlap = (own < 2)[:, None] & (np.arange(2) == 0)  # a against b: the first of the other classes
    assert not limit.separable[overlap].any()
    assert limit.certificate.proof is SplitProof.EXACT

    def value(v):
        scores = X @ (limit.subspace.reshape(len(limit.subspace), -1).T @ v).reshape(3, 3).T
        m = np.array([scores[n, own[n]] - np.delete(scores[n], own[n]) for n in range(55)])
        m[limit.separable] = np.inf
        if loss == "cross entropy":
            return np.log1p(np.exp(-m).sum(axis=1)).sum()
        return np.logaddexp(0, -m).sum() if loss == "logistic" else np.exp(-m).sum()

    found = minimize(value, np.zeros(len(limit.subspace)), options={"gtol": 1e-8})
    assert limit.loss == pytest.approx(found.fun, rel=1e-10)
    assert value(limit.subspace.reshape(-1, 9) @ limit.finite_part.ravel()) == pytest.approx(limit.loss, rel=1e-12)
    W = limit.direction
    margins = np.array([X[n] @ W[own[n]] - np.delete(X[n] @ W.T, own[n]) for n in range(55)])
    assert margins[limit.separable].min() == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_allclose(margins[~limit.separable], 0, atol=1e-12)
