"""Interrupts that wait, and those that a library made something else of."""

from __future__ import annotations

import signal
import threading

import pyarrow as pa
import pytest

from saccade.runtime.signals import deferred_interrupts, reraise_interrupts


def test_what_is_held_is_done_to_its_end_and_then_interrupted() -> None:
    done = []

    def do() -> None:
        with deferred_interrupts() as check:
            signal.raise_signal(signal.SIGINT)
            done.append("all of it")
            with pytest.raises(KeyboardInterrupt):
                check()
        done.append("nothing after it")

    with pytest.raises(KeyboardInterrupt):
        do()
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_held_within_what_is_held() -> None:
    done = []

    def do() -> None:
        with deferred_interrupts():
            with deferred_interrupts():
                signal.raise_signal(signal.SIGINT)
            done.append("the outer one waits on")

    with pytest.raises(KeyboardInterrupt):
        do()
    assert done == ["the outer one waits on"]


def test_without_an_interrupt_nothing_is_different() -> None:
    with deferred_interrupts() as check:
        check()
    with pytest.raises(ValueError, match="as it was"), deferred_interrupts():
        raise ValueError("as it was")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_that_ends_the_process_still_ends_it() -> None:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with deferred_interrupts():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_other_threads_hold_nothing() -> None:
    heard = []

    def held() -> None:
        with deferred_interrupts() as check:
            check()
            heard.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=held)
    thread.start()
    thread.join()
    assert heard == [signal.default_int_handler]


def test_an_interrupt_is_known_in_what_a_library_made_of_it() -> None:
    def read() -> None:
        try:
            raise pa.ArrowInvalid("External error: KeyboardInterrupt: ")
        except ValueError as error:
            raise LookupError("the table cannot be read") from error

    with pytest.raises(KeyboardInterrupt), reraise_interrupts():
        read()
    with pytest.raises(pa.ArrowInvalid), reraise_interrupts():
        raise pa.ArrowInvalid("External error: the disk is full")
