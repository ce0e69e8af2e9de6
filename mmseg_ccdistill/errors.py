"""Errors whose message is all that the user needs: one sentence and an exit code, no traceback."""

from __future__ import annotations

from typing import ClassVar

# What torch's data loader puts before the text of an error that one of its workers has raised.
_FROM_WORKER = 'Original Traceback (most recent call last):'


class PlainError(Exception):
    """Ends a program with its message alone; every other error is a fault of the code.

    Args:
        message: One sentence: what is wrong, what was expected, how to fix it. A data loader raises an
            error of its workers anew, with the worker's traceback before the message; only the message
            is kept.

    Attributes:
        exit_code: Exit code of the program that it ends.
    """

    exit_code: ClassVar[int]

    def __init__(self, message: str) -> None:
        if _FROM_WORKER in message:
            name = f'{type(self).__module__}.{type(self).__qualname__}: '  # as a traceback ends
            message = message.rpartition(name)[2].strip()
        super().__init__(message)


class UserInputError(PlainError, ValueError):
    """Something that the user gave is wrong: an argument, the config, the data, a checkpoint."""

    exit_code = 2


class RunError(PlainError, RuntimeError):
    """A run cannot go on, although its input was right.

    It concerns the process that raises it, so every process prints its own.
    """

    exit_code = 1
