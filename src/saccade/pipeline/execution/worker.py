"""A worker process: it reads task batches from standard input and writes segments to standard output.

Each message is preceded by its length as a 64-bit integer. Responses start with one byte: R (ready), B (a segment) or
E (an error text).
"""

from __future__ import annotations

import json
import os
import struct
import sys
from contextlib import ExitStack
from typing import IO

from saccade.pipeline.cache.segments import serialize_batch
from saccade.pipeline.execution.task import StepSpec, TaskBatch, TaskRunner
from saccade.runtime.process import limit_memory

_LENGTH_PREFIX = struct.Struct("<Q")


def read_message(stream: IO[bytes]) -> bytes | None:
    """Read the next message, or return None at the end of the stream."""
    prefix = _read_exactly(stream, _LENGTH_PREFIX.size)
    return None if prefix is None else _read_exactly(stream, _LENGTH_PREFIX.unpack(prefix)[0])


def write_message(stream: IO[bytes], body: bytes) -> None:
    stream.write(_LENGTH_PREFIX.pack(len(body)))
    stream.write(body)
    stream.flush()


def _read_exactly(stream: IO[bytes], count: int) -> bytes | None:
    parts = []
    while count:
        part = stream.read(count)
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def main() -> None:
    """Run task batches until the input ends."""
    tasks = sys.stdin.buffer
    # Output of the operation must not mix with the messages: standard output becomes standard error.
    results = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    first = read_message(tasks)
    if first is None:
        return
    spec = StepSpec.from_json(json.loads(first))
    with ExitStack() as stack:
        try:
            runner = stack.enter_context(TaskRunner(spec))
        except Exception as error:
            write_message(results, b"E" + f"{type(error).__name__}: {error}".encode())
            return
        write_message(results, b"R")
        limit_memory(spec.memory)
        while (content := read_message(tasks)) is not None:
            try:
                write_message(results, b"B" + serialize_batch(runner.run(TaskBatch.deserialize(content))))
            except Exception as error:
                write_message(results, b"E" + f"{type(error).__name__}: {error}".encode())


if __name__ == "__main__":
    main()
