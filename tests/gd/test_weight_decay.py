"""Weight decay: its gradient, its function, and the least ∫|g″| it tends to."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from gd.descent.weight_decay import _objective, train_with_decay
from solvers.splines.rich_regime import rich_interpolant


def test_gradient() -> None:
    rng = np.random.default_rng(0)
    x, y, theta = np.array([-1.0, 0.3, 2.0]), np.array([0.0, 1.0, -1.0]), rng.standard_normal(13)
    gap = check_grad(lambda t: _objective(t, x, y, 0.3)[0], lambda t: _objective(t, x, y, 0.3)[1], theta)
    assert gap < 1e-6


@pytest.mark.parametrize(
    ("x", "y"),
    [([0.0, 1.0, 2.0, 3.0], [1.0, 0.0, 0.0, 1.0]), ([-1.0, 0.0, 1.0], [0.0, 1.0, 0.0]), ([0.0, 1.0], [0.0, 2.0])],
)
def test_reaches_the_exact_least_value_and_its_set(x, y) -> None:
    exact, net = rich_interpolant(x, y, "penalized"), train_with_decay(x, y, width=100)
    pieces = net.pieces()
    value = max(pieces.variation, abs(pieces.slopes[0] + pieces.slopes[-1]))
    # decay μ = 1e-5 moves residuals and values by a few μ
    assert net.residual < 5e-5
    assert value == pytest.approx(exact.value, rel=1e-3)
    assert net.half_norm >= value - 1e-9
    at = np.linspace(x[0], x[-1], 101)
    np.testing.assert_allclose(pieces(at), net(at), atol=1e-10)
    assert np.all(net(at) >= exact.lower(at) - 2e-3)
    assert np.all(net(at) <= exact.upper(at) + 2e-3)


def test_out_of_time_is_the_network_so_far() -> None:
    told: list[tuple[int, int]] = []
    early = train_with_decay([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], time_limit=1e-9, progress=lambda *at: told.append(at))
    assert (early.iterations, early.decay, told) == (1, 1e-2, [(1, 4)])


def test_refusals() -> None:
    with pytest.raises(ValueError, match="finite vectors of one length"):
        train_with_decay([0.0, 1.0], [0.0])
    with pytest.raises(ValueError, match="time_limit is in seconds"):
        train_with_decay([0.0, 1.0], [0.0, 1.0], time_limit=0.0)
    with pytest.raises(ValueError, match="every decay"):
        train_with_decay([0.0, 1.0], [0.0, 1.0], decays=(0.0,))
