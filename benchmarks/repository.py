"""The repository that the benchmarks run from: its folder, and which code it holds."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def code_state() -> dict[str, Any]:
    """Commit of the repository and whether files differ from it; None where there is no git."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ['git', *words], cwd=ROOT, capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    changes = git('status', '--porcelain')
    return {'commit': git('rev-parse', 'HEAD'), 'dirty': None if changes is None else bool(changes)}


def list_once(states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """States of the code, each once, in their order."""
    return [state for i, state in enumerate(states) if state not in states[:i]]
