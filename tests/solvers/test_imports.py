"""What importing costs: `solvers` without torch and cvxpy, `gd` without cvxpy, solving without either."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "cvxpy", "mosek", "clarabel", "scs", "sklearn", "sympy", "matplotlib", "pandas")

SOLVE = """
import numpy as np
from solvers import L2, Bridge, FourierBridge, certify, max_margin
X = np.random.default_rng(0).standard_normal((4, 6)); y = [1, -1, 1, -1]
for R in (L2(), Bridge(1), FourierBridge(1), Bridge(0.5), FourierBridge(0.5)):
    assert certify(X, y, max_margin(X, y, R).beta, R).worst < 1e-8
"""


def loaded_after(code: str) -> set[str]:
    """Which heavy packages a fresh interpreter has loaded after running `code`."""
    report = f"\nimport sys, json; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def blocked(*names: str) -> str:
    """Code that makes importing `names` fail, as where they are not installed."""
    return f"import sys; sys.modules.update(dict.fromkeys({names!r}))\n"


def test_importing_solvers_loads_nothing_heavy() -> None:
    assert loaded_after("import solvers") == set()


def test_solving_and_certifying_load_nothing_heavy() -> None:
    assert loaded_after(SOLVE) == set()


def test_the_conic_method_loads_cvxpy_and_never_torch() -> None:
    loaded = loaded_after("import solvers; solvers.max_margin([[1.0, 2.0]], [1], solvers.L2(), method='conic')")
    assert "cvxpy" in loaded
    assert "torch" not in loaded


def test_solvers_work_where_torch_and_cvxpy_are_not_installed() -> None:
    loaded_after(blocked("torch", "cvxpy", "mosek", "clarabel", "scs") + SOLVE)


def test_importing_gd_loads_torch_and_not_cvxpy() -> None:
    loaded = loaded_after("import gd")
    assert "torch" in loaded
    assert "cvxpy" not in loaded


def test_gd_works_where_cvxpy_is_not_installed() -> None:
    loaded_after(blocked("cvxpy", "mosek", "clarabel", "scs") + "import gd, solvers")


@pytest.mark.parametrize("name", ["solvers", "gd", "proofs", "compare"])
def test_every_public_name_is_there_and_no_file_hides_it(name: str) -> None:
    found = "[getattr(package, n) for n in package.__all__]"
    loaded_after(f"import types, {name} as package; assert not any(isinstance(v, types.ModuleType) for v in {found})")
