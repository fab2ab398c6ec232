"""Reading by turns: what keeps the interpreter busy is done by a few threads at a time.

The interpreter does one thing at a time. Forty threads that read pages at once take it from one another and from the
loop that answers: each then takes as long as all of them, where by turns the first is answered at once.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync

AT_ONCE = 4
Given = ParamSpec("Given")
Answer = TypeVar("Answer")
_of_loop: RunVar[CapacityLimiter] = RunVar("saccade.turns")


def in_turn(act: Callable[Given, Answer]) -> Callable[Given, Coroutine[Any, Any, Answer]]:
    """A route that waits for its turn, so that never more than ``AT_ONCE`` of these read at once."""

    @wraps(act)
    async def acting(*given: Given.args, **named: Given.kwargs) -> Answer:
        limiter = _of_loop.get(None)
        if limiter is None:
            limiter = CapacityLimiter(AT_ONCE)
            _of_loop.set(limiter)
        return await run_sync(partial(act, *given, **named), limiter=limiter)

    return acting
