"""The clock that gradient descent and gradient flow share: ln(−ln loss).

Steps and time differ between them, and with the step size; the loss does not. The flow runs to losses such as
exp(−e^2000), far below the smallest double, so the clock is taken from ln‖w‖ there: −ln loss = γ‖w‖^L up to ln N.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gd.flow.limit import Limit
from solvers.arrays import Array

LINEAR_UP_TO = 10.0
"""The clock is drawn linear to here, where gradient descent ends, and logarithmic beyond."""
CLOCK_NOTE = (
    "At ln(−ln loss) = 0, 3, 5, 10 the loss is 0.37, 2·10⁻⁹, 4·10⁻⁶⁵, 10⁻⁹⁵⁶⁶; an axis beyond 20 is logarithmic "
    "from 10 on."
)
"""What a caption says about the axis: exp(−e^t) at four t."""


def clock_of_log_loss(log_loss: Array) -> Array:
    """ln(−ln loss); NaN while the loss is above 1, and where −ln loss is not finite.

    >>> clock_of_log_loss(np.array([0.5, -1.0, -np.inf]))
    array([nan,  0., nan])
    """
    known = (log_loss < 0) & np.isfinite(log_loss)
    return np.log(-log_loss, out=np.full_like(log_loss, np.nan), where=known)


def clock_of(limit: Limit, *, degree: int) -> Array:
    """ln(−ln loss) along the path of a flow, by L·ln‖w‖ + ln γ where −ln loss itself overflows.

    `degree` is L, for a limit that does not say its own.
    """
    path = limit.path
    clock = clock_of_log_loss(path.log_loss)
    margin = path.margins.min(axis=1)
    beyond = np.isneginf(path.log_loss) & (margin > 0)
    clock[beyond] = float(limit.stats.get("degree", degree)) * path.log_norm[beyond] + np.log(margin[beyond])
    return clock


def shared_clock(axes: Any) -> None:
    """The x axis for ln(−ln loss): linear, and where the flow went on, logarithmic beyond LINEAR_UP_TO."""
    left, right = axes.dataLim.intervalx
    if right > 2 * LINEAR_UP_TO:
        axes.set_xscale("symlog", linthresh=LINEAR_UP_TO, linscale=1.5)
        left, right = left - 0.5, right * 1.1  # beyond LINEAR_UP_TO a margin of 5 % of the numbers is none of the axis
        far = (100, 1000, 10**4, 10**5) if right >= 100 else (20, 50)
        ticks = [t for t in (-10, -5, 0, 5, 10, *far) if left <= t <= right]
        axes.set_xticks(ticks, [str(t).replace("-", "−") for t in ticks])
        axes.minorticks_off()
        axes.set_xlim(left, right)
    axes.set_xlabel("ln(−ln loss)")
