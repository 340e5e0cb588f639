"""One thread a process: the suite runs in parallel processes, and results must not depend on the number of threads."""

import os

from hypothesis import settings

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy and torch are imported, which read it once

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("suite")
