"""A second device on a machine that has one: CPU tensors that say they are on "cuda", and fail where CUDA's would.

Two torch modes share one table, of the storages that are on the device:

- a function mode sees what Python code asks: it answers `.device`, makes tensors with `device=` or `.to(…)` on the
  CPU and enters them in the table, and refuses to let numpy read them;
- a dispatch mode sees every operation, also those of autograd and of vmap: results are on the device of the
  arguments, and arguments of two devices raise, but for single numbers and indices, as CUDA has it.

What it cannot see: the random numbers of a real device, kernels that are missing there, and times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
INDEXED = ("aten::index", "aten::index_put_", "aten::index_put", "aten::_index_put_impl_")
"""Operations that take indices from the CPU."""
MOVES = ("aten::copy_", "aten::_to_copy")


class TwoDevicesError(RuntimeError):
    """Tensors of two devices met, or numpy was to read a tensor of the device."""


class _Table:
    """Which storages are on the device, and of which it is not known yet."""

    def __init__(self) -> None:
        self._there: dict[int, StorageWeakRef] = {}
        self._open: dict[int, StorageWeakRef] = {}

    @staticmethod
    def storage(tensor: Tensor) -> int:
        return int(_storage(tensor)._cdata)

    def device(self, tensor: Tensor) -> torch.device:
        return CUDA if self.storage(tensor) in self._there else CPU

    def known(self, tensor: Tensor) -> bool:
        return self.storage(tensor) not in self._open

    def enter(self, tensor: Tensor, device: torch.device | None) -> None:
        """None: not known. Torch's own C++ code makes tensors that are filled from others later."""
        storage = _storage(tensor)
        for place, here in ((self._there, device is not None and device.type == "cuda"), (self._open, device is None)):
            if here:  # a weak reference keeps the storage's address from being used again
                place[storage._cdata] = StorageWeakRef(storage)
            else:
                place.pop(storage._cdata, None)


def _storage(tensor: Tensor) -> torch.UntypedStorage:
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor.untyped_storage()


def tensors(*values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


class _Dispatch(TorchDispatchMode):
    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not asked of torch.compile, which takes seconds to import."""
        return False

    def __init__(self, table: _Table) -> None:
        super().__init__()
        self.table = table

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        table, kwargs = self.table, kwargs or {}
        given = tensors(args, kwargs)
        before = {table.storage(t) for t in given}
        where = self._met(func._schema.name, given)
        for tensor in given:
            if where is not None and not table.known(tensor):
                table.enter(tensor, where)
        out = func(*args, **kwargs)
        for made in tensors(out):
            if table.storage(made) not in before:
                table.enter(made, where)
        return out

    def _met(self, name: str, given: list[Tensor]) -> torch.device | None:
        """Where an operation runs; None where it has no argument of a known place."""
        known = [t for t in given if self.table.known(t)]
        arrays = [self.table.device(t) for t in known if t.ndim]
        if name in INDEXED and arrays and self.table.device(known[0]) == CUDA:
            return CUDA
        if name in MOVES and arrays:
            return self.table.device(known[0])
        if len(set(arrays)) > 1:
            shapes = [(tuple(t.shape), self.table.device(t).type) for t in known]
            raise TwoDevicesError(f"{name} of tensors on two devices: {shapes}")
        numbers = [self.table.device(t) for t in known]
        return arrays[0] if arrays else CUDA if CUDA in numbers else CPU if numbers else None


class _Function(TorchFunctionMode):
    def __init__(self, table: _Table) -> None:
        super().__init__()
        self.table = table

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        kwargs = dict(kwargs or {})
        special: Mapping[Any, Callable[..., Any]] = {
            Tensor.device.__get__: self.table.device,
            Tensor.is_cuda.__get__: lambda t: self.table.device(t).type == "cuda",
            Tensor.cpu: lambda t: self.moved(t, CPU),
            Tensor.cuda: lambda t: self.moved(t, CUDA),
        }
        if func in special:
            return special[func](args[0])
        if func in (Tensor.numpy, Tensor.__array__) and self.table.device(args[0]).type == "cuda":
            raise TwoDevicesError("numpy reads a tensor that is on the device")
        if func is Tensor.to:
            return self.to(*args, **kwargs)
        wanted = kwargs.get("device")
        if wanted is not None:
            kwargs["device"] = CPU
        out = func(*args, **kwargs)
        if wanted is not None and func is torch.as_tensor:
            return self.moved(out, torch.device(wanted))  # it may share its memory with numpy
        for made in tensors(out):
            if wanted is not None or func in (torch.from_numpy, torch.tensor) or not self.table.known(made):
                self.table.enter(made, torch.device(wanted or CPU))
        return out

    def to(self, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        wanted = self.table.device(tensor)
        rest = []
        for value in (*args, kwargs.pop("device", None)):
            if isinstance(value, Tensor):
                wanted = self.table.device(value)
                rest.append(value.dtype)
            elif isinstance(value, (torch.device, str)):
                wanted = torch.device(value)
            elif isinstance(value, torch.dtype):  # else non_blocking or copy, which change nothing here
                rest.append(value)
        return self.moved(tensor.to(*rest, **kwargs) if rest or kwargs else tensor, wanted)

    def moved(self, tensor: Tensor, device: torch.device) -> Tensor:
        """The tensor on the device: itself, where it is there."""
        if self.table.device(tensor).type == device.type:
            return tensor
        copy = tensor.clone()
        self.table.enter(copy, device)
        return copy


class TwoDevices:
    """A context in which device="cuda" works, and tensors of two devices do not mix."""

    def __init__(self) -> None:
        table = _Table()
        self._modes = _Dispatch(table), _Function(table)

    def __enter__(self) -> None:
        for mode in self._modes:
            mode.__enter__()

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)
