"""Where the time and the memory of the ratios go: the largest parts of each, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.performance.exported_profile import profile_exports
from benchmarks.performance.kept_profile import profile_memory
from benchmarks.performance.pixel_losses import profile_static
from benchmarks.performance.sample_profile import profile_sample
from benchmarks.performance.sizes import Sizes
from benchmarks.performance.step_profile import profile_step
from mmseg_ccdistill.errors import UserInputError

#: A profile: for every title ``unit`` (ms or MiB) and ``parts``, numbers by name.
Profile = dict[str, dict[str, Any]]

PROFILES: dict[str, Callable[[Sizes], Profile]] = {
    'step': profile_step,
    'static': profile_static,
    'exports': profile_exports,
    'memory': profile_memory,
    'sample': profile_sample,
}


def check_names(names: Sequence[str]) -> None:
    """Check names of profiles.

    Raises:
        UserInputError: If one is unknown.
    """
    for name in names:
        if name not in PROFILES:
            raise UserInputError(
                f'--profile: there is no {name!r}; there are {", ".join(PROFILES)}: take some of these'
            )
