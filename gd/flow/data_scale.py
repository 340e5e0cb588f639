"""Data of any size as data of size one: the flow on sX is the flow on X from weights of another length.

Where f is homogeneous of degree k in the inputs and L in the weights,

    f(sX; w) = s^k f(X; w) = f(X; s^{k/L} w),                                                             (1)

so v = s^{k/L} w follows the flow on X, in another time. Squares of gradients, of which steps and kinks are computed,
leave float64 where s is 1e±154, and lose what is small long before; on X nothing does. The limit is then said in the
units of sX: margins are s^k times as large, and lengths of weights s^{−k/L} times.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from gd.flow.homogeneity import measured_degree
from gd.flow.limit import Limit
from gd.networks.declaration import declared

MODERATE = 1e3
"""Largest entries of X up to this, and down to its inverse, are left as they are. (Measured on three layers: at 1e±3
they end as with (1), at 1e±8 not all do, and a convolution was called not separated: what counts as zero at a kink is
no fraction of the data.)"""
SAME = 1e-6  # relative: s is a power of two, so linear maps and kinks leave no rounding, and powers 1e-16 a term
LARGEST = 1e290  # of s^k and its inverse, within which margins and lengths can be said


@dataclass(frozen=True)
class DataScale:
    """s, a power of two, and k."""

    size: float = 1.0
    degree: float = 0.0

    @property
    def log_unit(self) -> float:
        """ln s^k."""
        return self.degree * math.log(self.size)

    def log_length(self, degree: float) -> float:
        """ln s^{k/L} for a network of degree L in its weights.

        Raises ValueError where its square, the unit of δ of a KKT point, is out of range.
        """
        found = self.log_unit / degree
        if 2.0 * abs(found) > math.log(LARGEST):
            raise ValueError(
                f"X has entries of about {self.size:.1e}: lengths of weights at margin one scale like their power "
                f"{-self.degree / degree:g}, and squares of those leave the range of float64. Divide X by its largest "
                f"entry: with weights that are longer by its power {self.degree / degree:g} the flow is the same"
            )
        return found

    def restored(self, limit: Limit) -> Limit:
        """A limit that was found on X, in the units of sX."""
        if self.size == 1.0:
            return limit
        longer = self.log_length(limit.stats["degree"])
        unit, length = math.exp(self.log_unit), math.exp(-longer)
        path, own, net = limit.path, limit.integrated, limit.two_layers
        return replace(
            limit,
            predictor=None if limit.predictor is None else limit.predictor / unit,
            log_norm=limit.log_norm - longer,
            kkt_epsilon=limit.kkt_epsilon * length,
            kkt_delta=limit.kkt_delta * length**2,
            norm_at_unit_margin=limit.norm_at_unit_margin * length,
            margin=limit.margin * unit,
            path=replace(path, tau=path.tau / unit, log_norm=path.log_norm - longer, margins=path.margins * unit),
            two_layers=None if net is None else replace(net, X=net.X * unit),
            integrated=replace(
                own, margin=own.margin * unit, predictor=None if own.predictor is None else own.predictor / unit
            ),
            stats={**limit.stats, "tau": limit.stats["tau"] / unit},
        )


def data_scale(model: nn.Module, X: Tensor, seed: int) -> DataScale:
    """The scale of data that are very large or small; one where they are not, or where (1) does not hold for f.

    Raises ValueError where s^k is out of range.
    """
    largest = float(X.abs().max())
    if largest == 0 or 1.0 / MODERATE <= largest <= MODERATE or declared(model).regularizer is not None:
        return DataScale()
    if bool(((X != 0) & (X.abs() / largest < torch.finfo(X.dtype).tiny)).any()):
        raise ValueError(
            f"the largest entry of X is {largest:.1e}, and others are so small that their ratio leaves the range of "
            "float64; divide the large columns, or rows, by their largest entries"
        )
    size, of_inputs = 2.0 ** math.floor(math.log2(largest)), copy.deepcopy(model).to(X.device, X.dtype)
    try:
        with torch.no_grad():
            degree = measured_degree(lambda named: of_inputs(named["X"]).flatten(), {"X": X / size}, seed)
    except ValueError:  # with a bias, or dead on all points
        return DataScale()
    scale = DataScale(size, degree)
    if abs(scale.log_unit) > math.log(LARGEST):
        raise ValueError(
            f"X has entries of about {size:.1e}, and the outputs scale like their power {degree:g}: margins leave the "
            "range of float64. Divide X by its largest entry"
        )
    return scale if _holds(of_inputs, X, scale) else DataScale()


def _holds(model: nn.Module, X: Tensor, scale: DataScale) -> bool:
    """Whether f(X) = s^k f(X/s) in every row: `measured_degree` has seen X/s alone, and a module may know a unit."""
    trained = [p for p in model.parameters() if p.requires_grad]
    with torch.no_grad():
        longest = max(float(p.abs().max()) for p in trained)
        for p in trained:  # f of the smallest weights and data together may be 0
            p.div_(longest or 1.0)
        there, here = model(X), math.exp(scale.log_unit) * model(X / scale.size)
    return bool(torch.allclose(there, here, rtol=SAME, atol=0.0))
