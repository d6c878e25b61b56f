# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Lines that would make the host wait for a GPU, found on a CPU."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

READS = {"cpu", "numpy", "tolist"}
"""Methods of tensors that copy to the host."""

UPLOADS = {torch.tensor, torch.as_tensor, torch.from_numpy}
"""Functions that copy from the host, unless they are given a tensor."""

SIZES = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "equal"}
"""Operations whose result, or its size, the host has to know."""

INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
"""Operations that wait for the number of true places if an index is a mask."""


@contextlib.contextmanager
def host_waits(*folders: Path, without: tuple[str, ...] = ()) -> Iterator[Counter[str]]:
    """Count what waits for the device within, by the line of some folders that asked for it.

    What libraries do by themselves is not counted; nor is what Warp and physics engines do, which torch does not see.

    Args:
        folders: Where the code is whose lines are counted.
        without: Functions that only pass on to a library, which may wait in them.

    Returns:
        Number of waits by ``path:line function: operation``, filled while the context lasts.
    """
    found: Counter[str] = Counter()
    roots = tuple(f"{folder.resolve()}/" for folder in folders)

    def note(operation: str) -> None:
        frame = sys._getframe(2)
        while frame is not None and (
            frame.f_code.co_filename == __file__ or not frame.f_code.co_filename.startswith(roots)
        ):
            frame = frame.f_back
        if frame is not None and frame.f_code.co_name not in without:
            path = Path(frame.f_code.co_filename)
            found[f"{path.parent.name}/{path.name}:{frame.f_lineno} {frame.f_code.co_name}: {operation}"] += 1

    class Functions(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            name = getattr(func, "__name__", "")
            if name in READS or (func in UPLOADS and not isinstance(args[0], torch.Tensor)):
                note(name)
            return func(*args, **(kwargs or {}))

    class Operations(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            name = func.overloadpacket.__name__
            masks = name in INDEXING and any(each is not None and each.dtype == torch.bool for each in args[1])
            if name in SIZES or masks:
                note(f"{name} by a mask" if masks else name)
            return func(*args, **(kwargs or {}))

    with Functions(), Operations():
        yield found
