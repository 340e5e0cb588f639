"""Symmetries that gradient descent inherits from the architecture: transform data and start, and paths transform."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gd import Convolutional, Diagonal, FullyConnected, LossNormalized, descend
from gd.networks.linear_network import LinearNetwork

seeds = st.integers(0, 10_000)
builders = st.sampled_from([FullyConnected, Diagonal, Convolutional])
# 30 normalized steps multiply rounding differences by at most a few orders of magnitude
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def data(seed: int, n: int = 5, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), np.where(rng.random(n) < 0.5, -1.0, 1.0)


def run(model: LinearNetwork, X: np.ndarray, y: np.ndarray, loss: str = "exponential"):
    return descend(model, X, y, steps=30, schedule="normalized", snapshots=6, loss=loss)


@settings(max_examples=15, deadline=None)
@given(build=builders, depth=st.integers(1, 3), seed=seeds, loss=st.sampled_from(["exponential", "logistic"]))
def test_flipping_labels_and_points_changes_nothing(build, depth, seed, loss):
    X, y = data(seed)
    model = build(6, depth, seed=seed, scale=0.5)
    np.testing.assert_array_equal(run(model, -X, -y, loss).predictors, run(model, X, y, loss).predictors)


@settings(max_examples=15, deadline=None)
@given(build=builders, depth=st.integers(1, 3), seed=seeds)
def test_order_of_points_does_not_matter(build, depth, seed):
    X, y = data(seed)
    order = np.random.default_rng(seed).permutation(len(y))
    model = build(6, depth, seed=seed, scale=0.5)
    np.testing.assert_allclose(run(model, X[order], y[order]).predictors, run(model, X, y).predictors, **CLOSE)


@settings(max_examples=15, deadline=None)
@given(depth=st.integers(1, 3), seed=seeds)
def test_rotating_inputs_rotates_a_fully_connected_network(depth, seed):
    X, y = data(seed)
    Q = np.linalg.qr(np.random.default_rng(seed + 1).standard_normal((6, 6)))[0]
    model, rotated = (FullyConnected(6, depth, seed=seed, scale=0.5) for _ in range(2))
    with torch.no_grad():
        rotated.weights[0].copy_(model.weights[0] @ torch.from_numpy(Q.T))
    np.testing.assert_allclose(run(rotated, X @ Q.T, y).predictors, run(model, X, y).predictors @ Q.T, **CLOSE)


@settings(max_examples=15, deadline=None)
@given(depth=st.integers(1, 3), seed=seeds, shift=st.integers(1, 5))
def test_shifting_signals_shifts_a_convolutional_network(depth, seed, shift):
    X, y = data(seed)
    model, shifted = (Convolutional(6, depth, seed=seed, scale=0.5) for _ in range(2))
    with torch.no_grad():
        shifted.weights[-1].copy_(torch.roll(model.weights[-1], shift))
    moved = run(shifted, np.roll(X, shift, axis=1), y).predictors
    np.testing.assert_allclose(moved, np.roll(run(model, X, y).predictors, shift, axis=2), **CLOSE)


@settings(max_examples=15, deadline=None)
@given(depth=st.integers(1, 3), seed=seeds)
def test_images_as_one_row_are_signals(depth, seed):
    X, y = data(seed)
    signal, image = Convolutional(6, depth, seed=seed, scale=0.5), Convolutional((1, 6), depth, seed=seed, scale=0.5)
    of_images = run(image, X[:, None, :], y).predictors[:, :, 0, :]
    np.testing.assert_allclose(of_images, run(signal, X, y).predictors, **CLOSE)


@settings(max_examples=15, deadline=None)
@given(seed=seeds)
def test_depth_one_is_the_same_linear_predictor_everywhere(seed):
    X, y = data(seed)
    paths = [run(build(6, 1, seed=seed), X, y).predictors for build in (FullyConnected, Diagonal, Convolutional)]
    np.testing.assert_allclose(paths[0], paths[1], **CLOSE)
    np.testing.assert_allclose(paths[0], paths[2], **CLOSE)


@settings(max_examples=10, deadline=None)
@given(build=builders, depth=st.integers(2, 4), seed=seeds)
def test_gradient_flow_conserves_the_differences_between_layers(build, depth, seed):
    """|w_l|² − |w_k|² per entry or frequency, W_lᵀW_l-type traces for full layers: exact for the flow, O(η) for steps.

    Halving the step over twice the number of steps halves the drift, which a wrong gradient would not do.
    """
    X, y = data(seed)
    model = build(6, depth, seed=seed, scale=0.4)

    def difference(weights: list[np.ndarray]) -> np.ndarray:
        first, second = weights[:2]
        if build is Diagonal:
            return first**2 - second**2
        if build is Convolutional:
            return np.abs(np.fft.fft(first)) ** 2 - np.abs(np.fft.fft(second)) ** 2
        return first @ first.T - second.T @ second  # W_1W_1ᵀ − W_2ᵀW_2

    start = difference([w.detach().numpy() for w in model.weights])
    drifts = []
    for halving in (1, 2):
        path = descend(model, X, y, steps=50 * halving, schedule=LossNormalized(2e-3 / halving))
        end = difference([path.parameters[f"weights.{i}"][0] for i in range(depth)])
        drifts.append(float(np.abs(end - start).max()))
    assert drifts[1] < 0.6 * drifts[0] < 0.6 * 0.1
