"""Many points: the kernel method works on a few of them at a time, and its answer is that of all."""

import numpy as np
import pytest

import solvers.conv_kernel.margin_path as path
from solvers import ConvKernel, Status, max_margin


@pytest.mark.parametrize("regularizer", [ConvKernel(3), ConvKernel(2, 2)], ids=str)
def test_a_working_set_gives_the_answer_of_all(monkeypatch: pytest.MonkeyPatch, regularizer: ConvKernel) -> None:
    rng = np.random.default_rng(4)
    shape = (12,) if regularizer.in_channels == 1 else (2, 8)
    X, planted = rng.standard_normal((200, *shape)), rng.standard_normal(shape)
    y = np.sign(np.tensordot(X, planted, planted.ndim))
    X += 0.2 * np.multiply.outer(y, planted) / np.linalg.norm(planted)
    whole = max_margin(X, y, regularizer)
    monkeypatch.setattr(path, "WORKING_SET", 8)  # so few that constraints must be taken in
    few = max_margin(X, y, regularizer)
    assert whole.status is few.status is Status.OPTIMAL
    # two answers of relative gap ≤ 1e-9 each
    assert few.objective == pytest.approx(whole.objective, rel=2e-9)
    assert few.certificate.worst <= 1e-9
    assert few.dual.shape == (200,)
