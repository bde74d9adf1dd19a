"""One run over several processes, as `torchrun` or `accelerate launch` start them.

The main process is the command: it plans, claims, decides, writes and reports. The others take
their part in every run that it starts (`grid.follow`), and write nothing. Without a launcher there
is one process, and everything here does nothing.

The processes exchange small JSON values here (torch's `all_gather_object` would pickle them). These
go over gloo, whatever the device, which avoids waiting for a GPU. Tensors are exchanged in
`benchmark/training/gathering.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from benchmark import signals

# Stage 2 in the main process may take long. When a process dies, its launcher ends the others.
PATIENCE = timedelta(days=30)

_group: Any = None  # the processes' gloo group; None if there is one process
_alone = False  # the main process does something that the others wait for


class FailedInMain(RuntimeError):
    """The main process failed at something that this one waited for."""

    met_by_all = True


def begin() -> None:
    """Join the processes that a launcher started together with this one, if one did."""
    global _group
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or _group is not None:
        return
    import torch
    from accelerate import PartialState

    cpu_asked_for = os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
    PartialState(cpu=cpu_asked_for or not torch.cuda.is_available())
    _group = torch.distributed.new_group(backend="gloo", timeout=PATIENCE)


def count() -> int:
    """How many processes work on this; 1 in the main process while the others wait for it."""
    return 1 if _group is None or _alone else _group.size()


def rank() -> int:
    """The number of this process, from 0."""
    return 0 if count() == 1 else _group.rank()


def is_main() -> bool:
    return rank() == 0


def exchanged(value: Any) -> list[Any]:
    """The JSON values of all processes, in their order. All processes have to call this."""
    if count() == 1:
        return [value]
    import torch
    from torch.distributed import all_gather

    said = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
    sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(count())]
    all_gather(sizes, torch.tensor([len(said)]), group=_group)
    longest = int(max(sizes))
    texts = [torch.zeros(longest, dtype=torch.uint8) for _ in sizes]
    all_gather(texts, torch.nn.functional.pad(said, (0, longest - len(said))), group=_group)
    both = zip(texts, sizes, strict=True)
    return [json.loads(bytes(text[: int(size)].tolist())) for text, size in both]


def on_main(work: Callable[[], Any]) -> Any:
    """Do `work` in the main process while the others wait; all get its result, as JSON carries it.

    Raises what `work` raises; in the other processes FailedInMain.
    """
    global _alone
    if count() == 1:
        return work()
    result, error = None, None
    if is_main():
        _alone = True
        try:
            result = work()
        # of any kind: the others wait for this process and must hear of it before it is raised
        except Exception as raised:
            error, raised.met_by_all = raised, True
        finally:
            _alone = False
    result, failure = exchanged([result, error and f"{type(error).__name__}: {error}"])[0]
    if failure is not None:
        raise error or FailedInMain(failure)
    return result


def met_by_all(error: Exception) -> bool:
    """Whether all processes met this error at the same point, and can go on together."""
    return count() == 1 or getattr(error, "met_by_all", False)


def in_step() -> contextlib.AbstractContextManager:
    """With several processes, hold signals back until all agree on one (`stop_if_asked`).

    No process may stop while the others go on.
    """
    return signals.held_back() if count() > 1 else contextlib.nullcontext()


def stop_if_asked() -> None:
    """Raise Preempted in all of several processes if one of them got a signal."""
    if count() > 1 and (name := next(filter(None, exchanged(signals.received())), None)):
        raise signals.Preempted(name)


def start_run(order: dict[str, Any]) -> None:
    """In the main process: have the others take part in a run."""
    exchanged(order)
    stop_if_asked()


def next_run() -> dict[str, Any] | None:
    """In the others: the main process's next order; None when it has ended."""
    try:
        order = exchanged(None)[0]
    # The main process has closed the connection; it reports itself whether all went well.
    except RuntimeError:
        return None
    stop_if_asked()
    return order
