"""Every public function of arrays: what are no real numbers is refused, or not evaluated; what are, in any form, count.

The table names each function and each of its array arguments; a test compares it with the signatures.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import pytest
import scipy.sparse
import torch

import solvers
from solvers import (
    L2,
    BinaryUniformInit,
    Bridge,
    ConstantWeight,
    ConvKernel,
    DeepReLUKernel,
    DensityInit,
    FourierBridge,
    FunctionWeight,
    GaussianInit,
    GaussianInputs,
    HyperbolicEntropy,
    LargestLayer,
    Mahalanobis,
    Regularizer,
    Schatten,
    SphereInputs,
    UniformInit,
)

Length = TypeVar("Length")
RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 4)) * [3.0, 1.0, 1.0, 1.0]
y = np.where(X[:, 0] > 0, 1.0, -1.0)
B = np.array([1.0, 2.0, -1.0, 0.5])
T, V = np.array([0.0, 1.0, 2.5, 3.0]), np.array([1.0, 0.0, 2.0, 1.0])
PLANE, LAW, INIT = X[:, :2], GaussianInputs(1.0, 1.0), GaussianInit(1.0, 1.0)
SOLUTION, LIMIT, SDP = solvers.max_margin(X, y, L2()), solvers.logistic_limit(X, y), solvers.conv_kernel_sdp(B, 2)
RELU = solvers.relu_max_margin(PLANE, y)
UNITS, OUTPUT = RELU.neurons, RELU.output_weights
KERNEL = solvers.dual_kernel(solvers.triangle_kernel(4, 1))
DENSE = solvers.gaussian_measurement(4, (4,), seed=0)
MASK = solvers.FourierMeasurement(np.array([True, True, False, True]))
SPLINE, LINE = solvers.weighted_spline(T, V, ConstantWeight()), solvers.rich_interpolant(T, V)
OF_KERNEL, PLANES = (
    solvers.kernel_interpolant(T, V, INIT),
    solvers.vector_interpolant(X, y, LAW, "penalized"),
)
CLASSIFIER = solvers.MaxMarginClassifier(L2()).fit(X, y)
SAMPLE = RNG.standard_normal((2, 150))

Call = tuple[Callable[[Any], Any], np.ndarray]
CALLS: dict[str, Call] = {
    "max_margin X": (lambda a: solvers.max_margin(a, y, L2()), X),
    "max_margin y": (lambda a: solvers.max_margin(X, a, L2()), y),
    "max_margin start": (lambda a: solvers.max_margin(X, y, Bridge(0.5), start=a, n_starts=1), B),
    "certify X": (lambda a: solvers.certify(a, y, SOLUTION.beta, L2()), X),
    "certify y": (lambda a: solvers.certify(X, a, SOLUTION.beta, L2()), y),
    "certify beta": (lambda a: solvers.certify(X, y, a, L2()), SOLUTION.beta),
    "certify dual": (lambda a: solvers.certify(X, y, SOLUTION.beta, L2(), dual=a), SOLUTION.dual),
    "induced_regularizer w": (lambda a: solvers.induced_regularizer(a, 2).value, B),
    "regularization_path X": (lambda a: solvers.regularization_path(a, y, [1.0], L2()), X),
    "regularization_path y": (lambda a: solvers.regularization_path(X, a, [1.0], L2()), y),
    "regularization_path radii": (lambda a: solvers.regularization_path(X, y, a, L2()), np.array([1.0, 2.0])),
    "logistic_limit X": (lambda a: solvers.logistic_limit(a, y), X),
    "logistic_limit y": (lambda a: solvers.logistic_limit(X, a), y),
    "LogisticLimit.project": (LIMIT.project, B),
    "min_norm X": (lambda a: solvers.min_norm(a, V, L2()), X[:4]),
    "min_norm y": (lambda a: solvers.min_norm(X[:4], a, L2()), V),
    "relu_max_margin X": (lambda a: solvers.relu_max_margin(a, y), PLANE),
    "relu_max_margin y": (lambda a: solvers.relu_max_margin(PLANE, a), y),
    "certify_relu X": (lambda a: solvers.certify_relu(a, y, UNITS, OUTPUT).margin, PLANE),
    "certify_relu y": (lambda a: solvers.certify_relu(PLANE, a, UNITS, OUTPUT).margin, y),
    "certify_relu hidden": (lambda a: solvers.certify_relu(PLANE, y, a, OUTPUT).margin, UNITS),
    "certify_relu output": (lambda a: solvers.certify_relu(PLANE, y, UNITS, a).margin, OUTPUT),
    "ReluSolution.__call__": (RELU, PLANE),
    "Solution.predict": (SOLUTION.predict, X),
    "Solution.decision_function": (SOLUTION.decision_function, X),
    "MaxMarginClassifier.fit": (lambda a: solvers.MaxMarginClassifier(L2()).fit(a, y).coef_, X),
    "MaxMarginClassifier.predict": (CLASSIFIER.predict, X),
    "MaxMarginClassifier.decision_function": (CLASSIFIER.decision_function, X),
    "spectral_factorization summands": (lambda a: solvers.spectral_factorization(a), B),
    "conv_kernel_sdp w": (lambda a: solvers.conv_kernel_sdp(a, 2).value, B),
    "reduce_rank Z": (lambda a: solvers.reduce_rank(a, B, 2).value, SDP.matrix),
    "reduce_rank w": (lambda a: solvers.reduce_rank(SDP.matrix, a, 2).value, B),
    "weighted_spline x": (lambda a: solvers.weighted_spline(a, V, ConstantWeight())(0.5), T),
    "weighted_spline y": (lambda a: solvers.weighted_spline(T, a, ConstantWeight())(0.5), V),
    "weighted_spline weights": (lambda a: solvers.weighted_spline(T, V, smoothing=0.1, weights=a)(0.5), np.ones(4)),
    "WeightedSpline.__call__": (SPLINE, T),
    "WeightedSpline.second_derivative": (SPLINE.second_derivative, T),
    "kernel_interpolant x": (lambda a: solvers.kernel_interpolant(a, V, INIT)(0.5), T),
    "kernel_interpolant y": (lambda a: solvers.kernel_interpolant(T, a, INIT)(0.5), V),
    "KernelInterpolant.__call__": (OF_KERNEL, T),
    "KernelInterpolant.corrected": (lambda a: OF_KERNEL.corrected(a, V), T),
    "KernelInterpolant.corrected y": (lambda a: OF_KERNEL.corrected(T, a), V),
    "rich_interpolant x": (lambda a: solvers.rich_interpolant(a, V)(0.5), T),
    "rich_interpolant y": (lambda a: solvers.rich_interpolant(T, a)(0.5), V),
    "RichInterpolant.__call__": (LINE, T),
    "RichInterpolant.lower": (LINE.lower, T),
    "RichInterpolant.upper": (LINE.upper, T),
    "vector_interpolant X": (lambda a: solvers.vector_interpolant(a, y, LAW, "penalized").coefficients, X),
    "vector_interpolant y": (lambda a: solvers.vector_interpolant(X, a, LAW, "penalized").coefficients, y),
    "VectorInterpolant.__call__": (PLANES, X),
    "VectorInterpolant.corrected": (lambda a: PLANES.corrected(a, y), X),
    "VectorInterpolant.corrected y": (lambda a: PLANES.corrected(X, a), y),
    "DensityInit.from_samples w": (lambda a: DensityInit.from_samples(a, SAMPLE[1]).zeta(T), SAMPLE[0]),
    "DensityInit.from_samples b": (lambda a: DensityInit.from_samples(SAMPLE[0], a).zeta(T), SAMPLE[1]),
    "dual_kernel u": (lambda a: solvers.dual_kernel(a).eigenvalues, np.array([1.0, 0.5, 0.25, 0.1])),
    "DualKernel.apply": (KERNEL.apply, B),
    "SpectralFilter.__call__": (solvers.early_stopping_filter(KERNEL, 0.5, 3), B),
    "early_stopping_filter t": (lambda a: solvers.early_stopping_filter(KERNEL, 0.5, a)(B), np.array([1.0, 2.0])),
    "predicted_error signal": (lambda a: solvers.predicted_error(KERNEL, a, 0.1, 0.5, [1]), B),
    "predicted_error noise": (lambda a: solvers.predicted_error(KERNEL, B, a, 0.5, [1]), B),
    "predicted_error steps": (lambda a: solvers.predicted_error(KERNEL, B, 0.1, 0.5, a), np.array([1.0, 2.0])),
    "best_stopping_time signal": (lambda a: solvers.best_stopping_time(KERNEL, a, 0.1, 0.5), B),
    "best_stopping_time noise": (lambda a: solvers.best_stopping_time(KERNEL, B, a, 0.5), B),
    "kernel_recovery y": (lambda a: solvers.kernel_recovery(KERNEL, DENSE, a), V),
    "DenseMeasurement.forward": (DENSE.forward, B),
    "DenseMeasurement.adjoint": (DENSE.adjoint, V),
    "FourierMeasurement.forward": (MASK.forward, B),
    "Mahalanobis Q": (lambda a: Mahalanobis(a).value(B), np.ones(4)),
    "LargestLayer scales": (lambda a: LargestLayer([(L2(), (4,))], a).value(B), np.ones(1)),
}
"""A function of one array, and an array that it takes."""

NORMS: list[tuple[Regularizer, np.ndarray]] = [
    (L2(), B), (Bridge(1), B), (Bridge(0.5), B), (Bridge(3.0), B), (FourierBridge(1), B), (Schatten(1), X),
    (Schatten(0.5), X), (Mahalanobis(np.ones(4)), B), (LargestLayer([(L2(), (4,))]), B), (ConvKernel(2), B),
]  # fmt: skip
for R, at in NORMS:
    for name in ("value", *(["dual_norm"] if R.is_norm else []), "support_size", "coefficients"):
        CALLS[f"{R}.{name}"] = getattr(R, name), at
for name in ("value", "gradient", "conjugate", "inverse_gradient"):
    CALLS[f"HyperbolicEntropy.{name}"] = getattr(HyperbolicEntropy(1.0), name), B
for weight in (INIT, UniformInit(1.0, 9.0), BinaryUniformInit(9.0), ConstantWeight(), FunctionWeight(np.cosh)):
    CALLS[f"{type(weight).__name__}.zeta"] = weight.zeta, T
    if hasattr(weight, "kernel"):
        CALLS[f"{type(weight).__name__}.kernel"] = lambda a, k=weight.kernel: k(a, T), T
for law in (LAW, SphereInputs(9.0), DeepReLUKernel(2)):
    CALLS[f"{type(law).__name__}.kernel"] = lambda a, k=law.kernel: k(a, X), X


def no_numbers(a: np.ndarray) -> Iterator[tuple[str, Any]]:
    hidden = np.zeros(a.shape, dtype=bool)
    hidden.flat[-1] = True
    yield "masked", np.ma.array(a, mask=hidden)
    yield "missing dates", np.full(a.shape, np.datetime64("NaT", "s"))
    yield "dates", np.full(a.shape, np.datetime64("2020-01-01", "s"))
    yield "complex numbers", a + 1j
    yield "words", np.full(a.shape, "a word")


def numbers(found: Any) -> np.ndarray:
    """All the numbers of an answer."""
    if is_dataclass(found):
        parts = [numbers(getattr(found, f.name)) for f in fields(found) if f.name != "stats"]
        return np.concatenate([np.empty(0), *parts])
    if isinstance(found, np.ndarray | float | int):
        return (
            np.asarray(found, dtype=np.complex128).reshape(-1)
            if np.asarray(found).dtype.kind in "biufc"
            else np.empty(0)
        )
    return np.empty(0)


@pytest.mark.parametrize("name", CALLS)
def test_what_are_no_real_numbers(name: str) -> None:
    """Refused, by a ValueError that says why; a function of x is nan where x is hidden."""
    call, array = CALLS[name]
    for kind, wrong in no_numbers(array):
        try:
            found = call(wrong)
        except ValueError as error:
            said = str(error)
        else:
            said = "nan" if np.isnan(numbers(found)).any() else "numbers"
        assert re.search("masked|nan|NaN|finite" if kind == "masked" else "", said), said
        assert kind == "masked" or said not in ("nan", "numbers"), kind


@pytest.mark.parametrize("name", CALLS)
def test_numbers_in_any_form(name: str) -> None:
    call, array = CALLS[name]
    expected = numbers(call(array))
    forms = [array.tolist(), torch.tensor(array, requires_grad=True), np.ma.array(array, mask=False)]
    for form in [*forms, scipy.sparse.csr_array(array)] if array.ndim == 2 else forms:
        np.testing.assert_allclose(numbers(call(form)), expected, rtol=1e-7, atol=1e-9)


class Plain(Regularizer, Generic[Length]):
    """A norm whose methods are no plain functions, or hide their arguments."""

    @staticmethod
    def dual_norm(z: Any) -> Any:
        return z

    def value(self, *args: Any) -> Any:
        return args

    support_size = np.size


def test_methods_of_any_kind_are_methods_of_a_norm() -> None:
    found = Plain.value(None, [1, 2])
    np.testing.assert_array_equal(found, [[1.0, 2.0]])
    assert found[0].dtype == np.float64
    assert (Plain.dual_norm([1]), Plain.support_size([1, 2])) == ([1], 2)
    assert Plain[int].__args__ == (int,)


def test_no_public_function_of_arrays_is_missing() -> None:
    """Every argument declared an array, of every public function."""
    wanted = {
        f"{name} {argument}"
        for name in solvers.__all__
        if inspect.isfunction(function := getattr(solvers, name))
        for argument, parameter in inspect.signature(function).parameters.items()
        if "ArrayLike" in str(parameter.annotation)
    }
    assert wanted <= CALLS.keys()
