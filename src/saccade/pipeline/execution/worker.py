"""A worker process: it reads task batches from standard input and writes segments to standard output.

Responses start with one byte: R (ready), B (a segment) or
E (an error text).
"""

from __future__ import annotations

import json
from contextlib import ExitStack

from saccade.pipeline.cache.segments import serialize_batch
from saccade.pipeline.execution.task import StepSpec, TaskBatch, TaskRunner
from saccade.runtime.child_process import open_message_streams, read_message, write_message
from saccade.runtime.process import limit_memory


def main() -> None:
    """Run task batches until the input ends."""
    tasks, results = open_message_streams()
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
