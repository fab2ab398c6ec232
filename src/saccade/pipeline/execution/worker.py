"""A process that does the work of steps: it reads tasks from its input and writes results to its output."""

from __future__ import annotations

import json
import os
import struct
import sys
from contextlib import ExitStack
from typing import IO

from saccade.pipeline.cache.segments import packed
from saccade.pipeline.execution.task import Doer, Task, Work
from saccade.store.io.process import limit_memory

_LENGTH = struct.Struct("<Q")


def read_message(stream: IO[bytes]) -> bytes | None:
    """The next message; None at the end."""
    head = _exactly(stream, _LENGTH.size)
    return None if head is None else _exactly(stream, _LENGTH.unpack(head)[0])


def write_message(stream: IO[bytes], body: bytes) -> None:
    stream.write(_LENGTH.pack(len(body)))
    stream.write(body)
    stream.flush()


def _exactly(stream: IO[bytes], count: int) -> bytes | None:
    parts = []
    while count:
        part = stream.read(count)
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def serve() -> None:
    """Do tasks until there are no more; what an operation prints goes to the error stream."""
    tasks = sys.stdin.buffer
    results = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    first = read_message(tasks)
    if first is None:
        return
    work = Work.from_json(json.loads(first))
    with ExitStack() as stack:
        try:
            doer = stack.enter_context(Doer(work))
        except Exception as error:
            write_message(results, b"E" + f"{type(error).__name__}: {error}".encode())
            return
        write_message(results, b"R")
        limit_memory(work.memory)
        while (content := read_message(tasks)) is not None:
            try:
                write_message(results, b"B" + packed(doer.do(Task.unpack(content))))
            except Exception as error:
                write_message(results, b"E" + f"{type(error).__name__}: {error}".encode())


if __name__ == "__main__":
    serve()
