"""Running a PyTorch module once, as it is in evaluation mode, without leaving a trace in it."""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

__all__ = ["Runner", "has_forward", "unwrapped"]

_WRAPPERS = ("DataParallel", "DistributedDataParallel", "AveragedModel")


def unwrapped(torch: Any, module: Any) -> Any:
    """Return the module that a wrapper only passes inputs to: of several devices, or compiled."""
    while True:
        inner = getattr(module, "_orig_mod", None)  # of torch.compile
        if inner is None and type(module).__name__ in _WRAPPERS:
            inner = getattr(module, "module", None)
        if not isinstance(inner, torch.nn.Module):
            return module
        module = inner


def has_forward(torch: Any, module: Any) -> bool:
    """Whether a module says what it computes, rather than only holds others.

    An ``nn.Sequential`` with an LSTM before its end says nothing either: no other layer reads the
    tuple that an LSTM returns.
    """
    nn = torch.nn
    if "forward" in vars(module) or isinstance(module, torch.jit.ScriptModule):
        return True
    if type(module).forward is nn.Sequential.forward:
        return not any(isinstance(child, nn.LSTM) for child in list(module.children())[:-1])
    return type(module).forward is not nn.Module.forward


class Runner:
    """Runs a module in evaluation mode, on a CPU and without halves where it lets itself be.

    Attributes
    ----------
    coarse : float
        What scores may differ by where it has to run on its own device, or in its own halves.
    compares : bool
        Whether it did something by numbers in any run, as by those of padding.
    """

    def __init__(self, torch: Any, module: Any) -> None:
        self.torch, self.module = torch, module
        self.coarse, self.compares = 0.0, False
        named = (module.named_parameters, module.named_buffers)
        tensors = {key: t for each in named for key, t in each(remove_duplicate=False)}
        self._own = next((t for t in tensors.values() if t.is_floating_point()), torch.zeros(()))
        halves = (torch.float16, torch.bfloat16)
        self._replaced: dict[str, Any] | None = None
        other = any(t.device.type != "cpu" or t.dtype in halves for t in tensors.values())
        if other and not any(t.is_meta for t in tensors.values()):
            self._replaced = {
                key: t.detach().to("cpu", torch.float32 if t.dtype in halves else t.dtype)
                for key, t in tensors.items()
            }

    def run(self, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        """Return what the module returns for arrays or tensors of any device and precision."""
        torch = self.torch
        with self.undisturbed(), self._noting_comparisons():
            if self._replaced is not None:
                like = self._own.detach().cpu()
                like = like if like.dtype == torch.float64 else like.float()
                args, kwargs = self._moved(arguments, like), self._moved(dict(options), like)
                try:
                    return torch.func.functional_call(self.module, self._replaced, args, kwargs)
                except Exception:  # it may make tensors on its device by itself
                    self._replaced = None
                    self.coarse = 2e-3 if self._own.dtype.itemsize > 2 else 3e-2
            args = self._moved(arguments, self._own)
            return self.module(*args, **self._moved(dict(options), self._own))

    def function_of(
        self, arguments: tuple[Any, ...], options: Mapping[str, Any], reads: Sequence[Any]
    ) -> tuple[list[Any], Callable[..., Any]]:
        """Return what a call reads as tensors, and the module as a function of these.

        `reads` are numbers of arguments, or names of options; the others stay as they are.
        """
        torch, replaced = self.torch, self._replaced
        like = self._own if replaced is None else self._own.detach().cpu()
        like = like.float() if like.dtype in (torch.float16, torch.bfloat16) else like
        args, kwargs = list(self._moved(arguments, like)), self._moved(dict(options), like)

        def place(key: Any) -> Any:
            return args if isinstance(key, int) else kwargs

        def function(*tensors: Any) -> Any:
            for key, tensor in zip(reads, tensors, strict=True):
                place(key)[key] = tensor
            if replaced is None:
                return _plain(self.module(*args, **kwargs))
            return _plain(torch.func.functional_call(self.module, replaced, tuple(args), kwargs))

        return [place(key)[key] for key in reads], function

    @contextmanager
    def _noting_comparisons(self) -> Iterator[None]:
        from torch.overrides import TorchFunctionMode

        runner = self

        class Noting(TorchFunctionMode):
            def __torch_function__(
                self, function: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                name = function.__name__
                runner.compares |= (
                    name in _TO_PYTHON
                    or name.strip("_") in _COMPARING
                    or any(argument is runner.torch.bool for argument in args)
                )
                return function(*args, **(kwargs or {}))

        with Noting():
            yield

    def names(self) -> dict[int, str]:
        """Return the names of the module's tensors by their identity, as they are when it runs."""
        named = (self.module.named_parameters, self.module.named_buffers)
        tensors = {key: t for each in named for key, t in each(remove_duplicate=False)}
        return {id(tensor): name for name, tensor in (tensors | (self._replaced or {})).items()}

    def _moved(self, value: Any, like: Any) -> Any:
        """Return arrays as tensors, and numbers on the device and in the dtype of the weights."""
        torch = self.torch
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(np.array(value))
            if not value.is_floating_point() and value.dtype != torch.bool:
                value = value.long()
        if isinstance(value, torch.nn.utils.rnn.PackedSequence):
            value = value.to(like.device)
            return value.to(like.dtype) if value.data.is_floating_point() else value
        if isinstance(value, torch.Tensor):
            value = value.detach().clone()
            if value.is_floating_point():
                return value.to(like.device, like.dtype)
            # Lengths have to stay where pack_padded_sequence wants them.
            return value.to(like.device) if value.ndim != 1 or like.device.type == "cpu" else value
        if type(value) in (tuple, list):
            return type(value)(self._moved(member, like) for member in value)
        if isinstance(value, Mapping):
            return {key: self._moved(member, like) for key, member in value.items()}
        return value

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Let the module be in evaluation mode, and everything afterwards as it was before."""
        torch = self.torch
        with ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")  # of layouts that are only tried
            stack.enter_context(torch.no_grad())
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)  # several would wait for each other longer than they compute
            for device in {"cpu", self._own.device.type} - {"meta"}:
                stack.enter_context(torch.autocast(device, enabled=False))
            cuda = self._own.device.type == "cuda"
            stack.enter_context(torch.random.fork_rng([self._own.device] if cuda else []))
            stack.callback(random.setstate, random.getstate())
            stack.callback(np.random.set_state, np.random.get_state())
            if "torch._dynamo" in sys.modules:  # nothing is compiled for this
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            for part in self.module.modules():
                if not isinstance(part, torch.jit.ScriptModule):
                    stack.callback(_restore, part, *_state(part))
                else:
                    stack.callback(part.train, part.training)
            self.module.eval()
            yield


def _plain(returned: Any) -> Any:
    """Return what a module returns with dicts in the place of dataclasses and named tuples."""
    if is_dataclass(returned) and not isinstance(returned, type):
        returned = {field.name: getattr(returned, field.name) for field in fields(returned)}
    elif hasattr(returned, "_asdict"):
        returned = returned._asdict()
    if isinstance(returned, Mapping):
        return {key: _plain(value) for key, value in returned.items()}
    return type(returned)(map(_plain, returned)) if type(returned) in (list, tuple) else returned


_COMPARING = frozenset(
    "ne eq gt ge lt le not_equal greater greater_equal less less_equal logical_not sign bool type "
    "index item tolist numpy".split()
)
"""What a forward calls that does something by the numbers that it gets, as Python names it."""

_TO_PYTHON = ("__int__", "__float__")
"""The same, as it is named in full: methods of the names int and float change a dtype alone."""

_OWN = ("_parameters", "_buffers", "_modules")


def _state(module: Any) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """Return what a module's attributes are, its own mode among them, and its buffers hold."""
    copies = {key: t.clone() for key, t in module._buffers.items() if t is not None}
    return dict(vars(module)), [dict(vars(module)[name]) for name in _OWN], copies


def _restore(
    module: Any, attributes: dict[str, Any], own: list[dict[str, Any]], copies: dict[str, Any]
) -> None:
    _as_before(vars(module), attributes)
    for name, entries in zip(_OWN, own, strict=True):
        _as_before(vars(module)[name], entries)
    for key, numbers in copies.items():
        buffer = module._buffers[key]
        if buffer.is_meta or buffer.equal(numbers):
            continue
        buffer.copy_(numbers)


def _as_before(entries: dict[str, Any], before: dict[str, Any]) -> None:
    """Take out of a dict what has been added, and put back what was there."""
    for key in entries.keys() - before.keys():
        del entries[key]
    entries.update(before)
