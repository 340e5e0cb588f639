"""One thread a process: the suite runs in parallel processes, and results must not depend on the number of threads."""

import os
import secrets
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from hypothesis import settings

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy and torch are imported, which read it once

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=25)
settings.register_profile("nightly", deadline=None, max_examples=250, print_blob=True)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "suite")
"""`HYPOTHESIS_PROFILE=nightly pytest …` draws other examples each time, and prints the seed that draws them again."""
settings.load_profile(PROFILE)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """A seed for the nightly profile, unless --hypothesis-seed gives one."""
    if PROFILE == "nightly" and config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = secrets.randbelow(2**32)


def pytest_report_header(config: pytest.Config) -> str:
    """Which examples the property tests draw."""
    return f"hypothesis: profile {PROFILE}, --hypothesis-seed={config.getoption('hypothesis_seed', None)}"


HERE = Path(__file__).parent
sys.path.append(str(HERE / "gd"))  # the reference integrator is a module that tests and a benchmark import
NUMERICAL = (
    "gd/test_flow*.py", "gd/test_invariances.py", "gd/test_multi_channel.py", "gd/test_cell_program.py",
    "gd/test_optimizer*.py", "gd/test_piecewise.py", "gd/test_regression.py", "gd/test_two_layer_optimum.py",
    "gd/test_classes.py", "gd/test_linear_flow.py", "gd/test_second_order.py", "gd/test_decay_path.py",
    "gd/test_wrong_limits.py", "gd/test_termination.py",
    "solvers/test_hard_margins.py", "solvers/test_intercept.py", "solvers/test_classes.py",
    "solvers/test_logistic_limit.py", "solvers/test_nearest_floats.py", "solvers/test_vector_kernels.py",
    "solvers/test_relu_margin.py", "solvers/test_schatten_points.py", "solvers/test_optimizer_norms.py",
    "solvers/test_bridge_margin.py", "solvers/test_certificate.py", "solvers/test_conic.py",
    "solvers/test_conv_kernel*.py", "solvers/test_l1_margin.py", "solvers/test_l2_margin.py",
    "solvers/test_margin_families.py", "solvers/test_min_norm.py", "solvers/test_potentials.py",
    "solvers/test_rank_certificate.py", "solvers/test_regularization_path.py",
    "solvers/test_regularizers.py", "solvers/test_separability.py", "solvers/test_spectral_factorization.py",
)  # fmt: skip
"""The tests of what hangs on rounding if anything does: the flow, margins of every regularizer, certificates."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the numerical tests."""
    for item in items:
        path = item.path
        if path.is_relative_to(HERE) and any(fnmatch(str(path.relative_to(HERE)), pattern) for pattern in NUMERICAL):
            item.add_marker("numerical")


def pytest_sessionstart() -> None:
    """A pattern that names no file is a test that nobody repeats."""
    missing = [pattern for pattern in NUMERICAL if not list(HERE.glob(pattern))]
    if missing:
        raise pytest.UsageError(f"NUMERICAL in tests/conftest.py names files that are not there: {missing}")


@pytest.fixture(autouse=True)
def _one_start_per_test() -> None:
    """torch's own generator, which initializes modules, starts alike in every test, whichever ran before it."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
