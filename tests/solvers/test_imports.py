"""What importing costs: `solvers` without torch and cvxpy, `gd` without cvxpy, solving without either.

Interpreters take seconds to start, so one answers several questions, one after the other.
"""

import json
import subprocess
import sys

HEAVY = ("torch", "cvxpy", "mosek", "clarabel", "scs", "sklearn", "sympy", "matplotlib", "pandas")

SOLVE = """
import numpy as np
from solvers import L2, Bridge, FourierBridge, certify, max_margin
X = np.random.default_rng(0).standard_normal((4, 6)); y = [1, -1, 1, -1]
for R in (L2(), Bridge(1), FourierBridge(1), Bridge(0.5), FourierBridge(0.5)):
    assert certify(X, y, max_margin(X, y, R).beta, R).worst < 1e-8
"""


def loaded_after(*parts: str, missing: tuple[str, ...] = ()) -> list[set[str]]:
    """Which heavy packages one fresh interpreter has loaded after each of the parts.

    Importing what is `missing` fails as where it is not installed, whoever asks for it, and counts as loading it.
    """
    code = [PREPARED.format(heavy=HEAVY, missing=missing)]
    code += [f"{part}\nreport()" for part in parts]
    done = subprocess.run([sys.executable, "-c", "\n".join(code)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [set(json.loads(line)) for line in done.stdout.splitlines()]


PREPARED = """
import importlib.abc, json, sys
asked = set()
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {missing}:
            asked.add(name.partition(".")[0])
            raise ModuleNotFoundError("No module named " + name, name=name)
sys.meta_path.insert(0, Missing())
def report():
    print(json.dumps([name for name in {heavy} if name in sys.modules or name in asked]))
"""


def public_names(package: str) -> str:
    """Code that asks a package for all its public names; none may be a file of the same name."""
    found = f"[getattr({package}, n) for n in {package}.__all__]"
    return f"import types, {package}; assert not any(isinstance(v, types.ModuleType) for v in {found})"


def test_solving_loads_nothing_heavy_and_the_conic_method_cvxpy() -> None:
    conic = "import solvers; solvers.max_margin([[1.0, 2.0]], [1], solvers.L2(), method='conic')"
    imported, solved, asked_for_cvxpy, _ = loaded_after("import solvers", SOLVE, conic, public_names("solvers"))
    assert imported == solved == set()
    assert "cvxpy" in asked_for_cvxpy
    assert "torch" not in asked_for_cvxpy


def test_solvers_work_where_torch_and_cvxpy_are_not_installed() -> None:
    assert loaded_after(SOLVE, missing=("torch", "cvxpy", "mosek", "clarabel", "scs")) == [set()]


def test_gd_loads_torch_and_works_where_cvxpy_is_not_installed() -> None:
    missing = ("cvxpy", "mosek", "clarabel", "scs")
    imported, *_ = loaded_after("import gd", "import solvers", public_names("gd"), missing=missing)
    assert "torch" in imported
    assert not imported & set(missing)


def test_every_public_name_of_proofs_and_compare_is_there_and_no_file_hides_it() -> None:
    loaded_after(public_names("proofs"), public_names("compare"))
