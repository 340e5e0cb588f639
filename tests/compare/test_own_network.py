"""A network and a table of one's own, through `compare_margin` and the command line."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from compare import DataError, Verdict, compare_margin, load
from gd import NotHomogeneousError, flow_limit
from gd.flow.module_map import ModuleMap
from solvers import L2, Bridge, Norm, max_margin

RNG = np.random.default_rng(0)
X = RNG.standard_normal((8, 6))
y = np.where(X @ RNG.standard_normal(6) > 0, 1.0, -1.0)


def two_layers(D, width=8, activation=nn.ReLU, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(D, width, bias=False), activation(), nn.Linear(width, 1, bias=False))


class Linear(nn.Module):
    """Two linear layers, as a user writes them: w₂ᵀ W₁ x, whose induced regularizer is ‖β‖₂."""

    regularizer = L2()

    def __init__(self, D, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.first = nn.Parameter(0.3 * torch.randn(5, D, generator=generator))
        self.second = nn.Parameter(0.3 * torch.randn(5, generator=generator))

    def forward(self, x):
        return x.flatten(1) @ self.first.T @ self.second


def test_ten_lines(tmp_path, monkeypatch):
    """The example of the documentation, as it stands there."""
    monkeypatch.chdir(tmp_path)
    pd.DataFrame(X, columns=list("abcdef")).assign(label=np.where(y > 0, "yes", "no")).to_csv("own.csv", index=False)
    # --- from here
    import torch
    from torch import nn

    from compare import compare_margin, load

    data = load("own.csv")
    D = data.X.shape[1]
    torch.manual_seed(0)
    relu = nn.Sequential(nn.Linear(D, 8, bias=False), nn.ReLU(), nn.Linear(8, 1, bias=False))
    linear = nn.Sequential(nn.Linear(D, 8, bias=False), nn.Linear(8, 1, bias=False))
    report = compare_margin(data.X, data.y, {"ReLU": relu, "linear": linear}, steps=200)
    report.write("report")
    # --- to here
    assert report.passed
    assert [check.verdict for check in report.checks] == ["confirmed", "confirmed"]
    assert (tmp_path / "report" / "report.html").exists()


def test_modules_are_trained_from_their_own_weights_and_left_as_they_are():
    model = two_layers(6)
    before = [p.clone() for p in model.parameters()]
    report = compare_margin(X, y, model, steps=20)
    assert report.passed
    assert all(torch.equal(p, q) for p, q in zip(before, model.parameters(), strict=True))
    assert model[0].weight.dtype == torch.float32
    again = compare_margin(X, y, model, steps=20)
    assert report.sections[0].rows == again.sections[0].rows


def test_a_linear_module_that_names_its_regularizer_is_held_to_the_theorem():
    report = compare_margin(X, y, Linear(6), steps=20)
    assert [check.verdict for check in report.checks] == ["confirmed"]
    row = report.sections[0].rows[0]
    # the solver's answer is the closest point of the signed hull, the flow's is polished on its active set: both 1e-9
    assert row["angle"] < 1e-7
    assert row["gap"] < 1e-9
    limit = flow_limit(Linear(6), X, y)
    assert np.allclose(limit.predictor, max_margin(X, y, L2()).beta, rtol=0, atol=1e-7 * np.abs(limit.predictor).max())


def test_a_module_that_names_the_wrong_regularizer_fails():
    class Wrong(Linear):
        regularizer = Bridge(1.0)

    report = compare_margin(X, y, Wrong(6), steps=20)
    assert [check.verdict for check in report.checks] == ["refuted"]
    assert report.sections[0].rows[0]["gap"] > 1e-3


def test_a_regularizer_does_not_make_a_network_linear():
    class Curved(Linear):
        def forward(self, x):
            return torch.relu(x @ self.first.T) @ self.second

    labels, points = torch.tensor(y), torch.tensor(X)
    for model, linear in ((Linear(6), True), (Curved(6), False), (two_layers(6, activation=nn.Identity), True)):
        mapping = ModuleMap(model, points, labels)
        beta = mapping.predictors(mapping.start([model]))
        assert (beta is not None) == linear
    model = Linear(6).double()
    mapping = ModuleMap(model, points, labels)
    expected = (model.second @ model.first).detach().numpy()
    assert np.abs(mapping.predictors(mapping.start([model]))[0] - expected).max() < 1e-14


@pytest.mark.parametrize("make", [
    pytest.param(lambda: nn.Linear(6, 1, bias=False), id="one layer"),
    pytest.param(lambda: two_layers(6, activation=lambda: nn.LeakyReLU(0.1)), id="leaky"),
    pytest.param(lambda: nn.Sequential(two_layers(6), nn.Flatten(0)), id="shape (N,)"),
    pytest.param(lambda: two_layers(6).half(), id="float16"),
    pytest.param(lambda: nn.Sequential(nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 3, 2, bias=False), nn.ReLU(),
                                       nn.Flatten(), nn.Linear(6, 1, bias=False)), id="convolution"),
])  # fmt: skip
def test_homogeneous_modules_of_every_make_run(make):
    torch.manual_seed(1)
    report = compare_margin(X, y, make(), steps=20)
    assert len(report.checks) == 1
    # from a start that no unit of which sees some point the flow cannot separate, and says so; else KKT
    assert report.checks[0].verdict in (Verdict.CONFIRMED, Verdict.NOT_REACHED)
    assert report.sections[0].rows[0]["kkt"] is not None


@pytest.mark.parametrize(("make", "error", "words"), [
    (lambda: nn.Linear(5, 1, bias=False), ValueError, "does not take X of shape (8, 6)"),
    (lambda: nn.Linear(6, 2, bias=False), ValueError, "must give one number for each of the 8 points"),
    (lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 1)), NotHomogeneousError, "2.bias"),
    (lambda: two_layers(6, activation=nn.Tanh), NotHomogeneousError, "not homogeneous"),
    (lambda: two_layers(6).requires_grad_(False), ValueError, "no trainable parameter"),
    (lambda: [torch.relu], ValueError, "models are torch modules"),
    (dict, ValueError, "models is empty"),
])  # fmt: skip
def test_what_is_no_such_network_is_refused(make, error, words):
    with pytest.raises(error) as caught:
        compare_margin(X, y, make(), steps=20)
    assert words in str(caught.value)


def test_every_kind_of_table_gives_the_same_numbers(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcdef")).assign(y=y.astype(int))
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "t.parquet")
    np.savez(tmp_path / "t.npz", X=X, y=y)
    found = [load(str(tmp_path / f"t{suffix}")) for suffix in (".csv", ".tsv", ".parquet", ".npz")]
    assert len({data.sha256 for data in found}) == 1  # CSV holds 17 digits, so every bit
    assert np.array_equal(found[0].X, X)
    reports = [
        compare_margin(points, labels, architectures=["diagonal"], depths=[2], steps=20)
        for points, labels in ((X, y), (frame[list("abcdef")], frame.y), (torch.tensor(X), torch.tensor(y)))
    ]
    angles = [report.sections[0].rows[0]["angle"] for report in reports]
    assert angles[0] == angles[1] == angles[2] < math.radians(1e-3)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").write_bytes(b"PAR1")

    def missing(path):
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pd, "read_parquet", missing)
    with pytest.raises(DataError, match=r"needs pyarrow: pip install pyarrow"):
        load(str(tmp_path / "t.parquet"))
    monkeypatch.undo()
    with pytest.raises(DataError, match="could not be read"):
        load(str(tmp_path / "t.parquet"))


class WeightedL1(Norm):
    """Σ c_i |β_i|, a norm that the package does not have."""

    def __init__(self, c):
        self.c = np.asarray(c)

    @property
    def formula(self):
        return "Σ cᵢ|βᵢ|"

    def value(self, beta):
        return float(self.c @ np.abs(beta))

    def dual_norm(self, z):
        return float((np.abs(z) / self.c).max())

    def conic(self, beta):
        import cvxpy

        return cvxpy.norm1(cvxpy.multiply(self.c, beta))


class ScaledDiagonal(nn.Module):
    """β_i = u_i v_i / c_i costs u_i² + v_i² ≥ 2 c_i |β_i|, so the induced regularizer is `WeightedL1`."""

    theorem = "AM–GM, coordinate by coordinate"

    def __init__(self, c, seed=0):
        super().__init__()
        rng = np.random.default_rng(seed)
        self.c = torch.tensor(c)
        self.u, self.v = (nn.Parameter(torch.tensor(0.2 * rng.standard_normal(len(c)))) for _ in range(2))
        self.regularizer = WeightedL1(c)

    def forward(self, x):
        return x @ (self.u * self.v / self.c)


def test_a_network_and_a_norm_of_ones_own_run_through_the_whole_comparison():
    model = ScaledDiagonal([0.5, 1.0, 2.0, 1.0, 3.0, 0.7])
    report = compare_margin(X, y, {"scaled": model}, steps=20)
    (row,) = report.sections[0].rows
    assert row["regularizer"] == "Σ cᵢ|βᵢ|"
    assert row["gap"] < 1e-6
    assert row["angle"] < 1e-4  # the cone solver's answer has a gap of about 1e-9
    assert report.passed
    assert report.checks[0].reference == "AM–GM, coordinate by coordinate"
    wrong = ScaledDiagonal([0.5, 1.0, 2.0, 1.0, 3.0, 0.7])
    wrong.regularizer = WeightedL1(np.ones(6))
    (check,) = compare_margin(X, y, wrong, steps=20).checks
    assert check.verdict is Verdict.REFUTED
