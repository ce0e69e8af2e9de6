"""A time limit that begins with a signal, also where the main thread does not come back from a call."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

_OFF = 0  # no signal has this number


class SignalLimit:
    """Ends this process some seconds after a signal, unless it is called off in time.

    Python runs a signal's handler only when the main thread comes back to Python code. A thread of
    its own, which the C part of the handling wakes, also serves a main thread that hangs in a
    library.

    Args:
        handlers: The signals that count, each with its handler in Python; a signal that has another
            handler by then is not this run's.
        seconds: Gives the limit when a signal arrives.
        last_words: Gives the sentence for the signal's number and the limit.
    """

    def __init__(
        self,
        handlers: Mapping[int, Callable[..., Any]],
        seconds: Callable[[], float],
        last_words: Callable[[int, float], str],
    ) -> None:
        self._handlers = dict(handlers)
        self._seconds = seconds
        self._last_words = last_words
        self._is_off = threading.Event()
        self._ours, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        self._previous = -1
        self._is_over = False

    def start(self) -> None:
        """Begin to listen. To be called in the main thread."""
        self._previous = signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._listen, daemon=True, name='signal limit').start()

    def call_off(self) -> None:
        """End the limit that runs, or the listening. To be called in the main thread."""
        if self._is_over:
            return
        self._is_over = True
        signal.set_wakeup_fd(self._previous)
        self._theirs.send(bytes([_OFF]))  # closing is no news: forked processes hold copies
        self._theirs.close()
        self._is_off.set()  # last: the thread closes the other end

    def _listen(self) -> None:
        with self._ours:
            number = self._ours.recv(1)[0]
            while (
                number not in self._handlers or signal.getsignal(number) != self._handlers[number]
            ):
                if number == _OFF:
                    return
                number = self._ours.recv(1)[0]
            seconds = self._seconds()
            if self._is_off.wait(seconds):
                return
        os.write(2, f'\n{self._last_words(number, seconds)}\n'.encode())
        for worker in multiprocessing.active_children():
            worker.kill()
        os._exit(128 + number)


def forget_in_child() -> None:
    """Cut a forked process off: its signals are not its parent's."""
    signal.set_wakeup_fd(-1)
