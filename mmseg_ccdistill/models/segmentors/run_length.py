"""A number of iterations, given as such or as a share of the run."""

from __future__ import annotations

from ...errors import UserInputError


class RunLength:
    """Iterations, at least 0, as an integer; or a share of the run between 0 and 1, as a float.

    A share keeps its meaning in every schedule, a number does not.

    Args:
        value: The setting.
        owner: Component that has it, for messages.
        name: Its name, for messages.
        example: Shares and iterations to propose in messages.

    Raises:
        UserInputError: If it is neither.
    """

    def __init__(
        self,
        value: int | float,
        owner: str,
        name: str,
        example: tuple[float, int] = (0.025, 15),
    ) -> None:
        is_share = isinstance(value, float) and 0 < value < 1
        is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not (is_share or is_count):
            raise UserInputError(
                f'{owner}: expected {name} as iterations (an integer from 0 on) or as a share of the run (a float '
                f'between 0 and 1, e.g. {example[0]}), got {value!r}.'
            )
        self.value = value
        self._where, self._example = (
            f'{owner}: {name}={value}',
            f'{name} in iterations, e.g. {example[1]}',
        )
        self._iterations: float | None = None if is_share else float(value)

    def set_length(self, max_iters: int) -> None:
        """Say how long the run is; a number of iterations stays what it is.

        Args:
            max_iters: Iterations of the whole run.
        """
        if isinstance(self.value, float):
            self._iterations = self.value * max_iters

    @property
    def iterations(self) -> float:
        """The iterations.

        Raises:
            UserInputError: If it is a share and nobody has said of what.
        """
        if self._iterations is None:
            raise UserInputError(
                f'{self._where} is a share of the run, whose length is not known: add '
                f"dict(type='DeferredInfoHook') as default_hooks.runtime_info, or give {self._example}."
            )
        return self._iterations
