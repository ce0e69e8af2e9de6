"""Where predictions go: one folder for each kind, each file whole or not there, nothing overwritten."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import RunError, UserInputError
from ..evaluation.prediction_files import PredictionNameError, check_names, prediction_path
from ..runtime.atomic_file import write_atomically
from ..runtime.file_digest import file_digest
from ..version import __version__
from ..visualization.panel import colorize
from .inputs import Inputs
from .segmentation import PredictedMaps, blend
from .trained_model import TrainedModel
from .videos import FrameFolder, VideoFile

#: What can be written, with its meaning.
KINDS = {
    'overlay': 'the image under the colours of its classes',
    'trainids': 'grey PNG, one byte a pixel: the index of the class',
    'color': 'the colours of the classes alone',
    'confidence': 'grey PNG, two bytes a pixel: 0..65535 for a probability of 0..1',
}
#: Kinds of a video that are a video; the others are numbered images, because video compression changes values.
_PAINTED = ('overlay', 'color')
_RECORD = 'predictions.json'


def own_paths(folder: Path) -> list[Path]:
    """What a folder of predictions consists of: none of it is an input."""
    return [*(folder / kind for kind in KINDS), folder / _RECORD]


@dataclass(frozen=True)
class Outputs:
    """A folder of predictions.

    Attributes:
        folder: The folder.
        kinds: Keys of :data:`KINDS`.
        root: Folder from which the folders of the inputs are kept.
        opacity: Share of the class colours in an overlay.
        force: Replace what exists.
    """

    folder: Path
    kinds: tuple[str, ...]
    root: str
    opacity: float
    force: bool

    def image_path(self, kind: str, source: str) -> Path:
        """File of an image."""
        return Path(prediction_path(source, str(self.folder / kind), self.root))

    def video_path(self, kind: str, source: str) -> Path:
        """File of a painted video, or folder of its numbered images."""
        path = self.image_path(kind, source)
        return path.with_suffix('.mp4') if kind in _PAINTED else path.with_suffix('')

    def missing(self, source: str, is_video: bool = False) -> tuple[str, ...]:
        """Kinds of an input that are to be written: those that are not there, or all with ``force``."""
        place = self.video_path if is_video else self.image_path
        return tuple(k for k in self.kinds if self.force or not place(k, source).exists())

    def check(self, inputs: Inputs) -> None:
        """Check that outputs replace neither each other nor an input, and that the folder can be written.

        Raises:
            UserInputError: If one does or it cannot.
        """
        files = [*inputs.images, *inputs.videos]
        for kind in self.kinds:
            for group in (inputs.images, inputs.videos):
                try:
                    check_names(group, files, str(self.folder / kind), self.root)
                except PredictionNameError as error:
                    raise UserInputError(f'--out {self.folder}: {error}') from error
            named = {os.path.abspath(self.video_path(kind, path)) for path in inputs.videos}
            replaced = sorted(named & {os.path.abspath(path) for path in files})
            if replaced:
                raise UserInputError(
                    f'--out {self.folder}: the prediction of a video would replace the input {replaced[0]!r}: '
                    'expected a folder of its own for predictions; name another'
                )
        self._check_right_to_write()

    def _check_right_to_write(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise UserInputError(
                f'nothing can be written into {str(self.folder)!r} ({error.strerror}): expected a folder with the '
                'right to write; name another with --out'
            ) from error

    def record(self, trained: TrainedModel, inputs: Inputs, max_frames: int | None = None) -> None:
        """Write ``predictions.json``: what the indices mean, of which model and inputs they are.

        Args:
            trained: The model.
            inputs: What is to be predicted.
            max_frames: Of a video; None: all.

        Raises:
            UserInputError: If ``force`` is not set and the folder holds predictions of another model, or what would be
                kept of these inputs is of other ones, or of other settings.
        """
        facts: dict[str, Any] = {
            'model': str(trained.path),
            'sha256': file_digest(trained.path),
            'branch': trained.branch,
            'classes': list(trained.classes),
            'palette': [list(colour) for colour in trained.palette],
            'mmseg_ccdistill_version': __version__,
        }
        path = self.folder / _RECORD
        before = _read(path)
        if before is not None and not self.force:
            if any(before.get(key) != facts[key] for key in ('sha256', 'branch')):
                raise UserInputError(
                    f'{str(self.folder)!r} holds predictions of another model ({before.get("model")}): expected '
                    'a folder for each model; choose another --out, or pass --force'
                )
            self._check_kept(before.get('calls', []), inputs, max_frames)
        facts['calls'] = self._calls((before or {}).get('calls', []), inputs, max_frames)
        self._write(path, (json.dumps(facts, indent=2) + '\n').encode())

    def _check_kept(
        self, calls: Sequence[Mapping[str, Any]], inputs: Inputs, max_frames: int | None
    ) -> None:
        """Refuse to take a file for the prediction of an input that it is not of."""
        owners = {name: call for call in calls for name in call['inputs']}
        for path in (*inputs.images, *inputs.videos):
            is_video = path in inputs.videos
            kept = set(self.kinds) - set(self.missing(path, is_video))
            name = os.path.relpath(path, self.root)
            call = owners.get(name)
            if not kept or call is None:
                continue
            if call['root'] != os.path.abspath(self.root):
                raise UserInputError(
                    f'{str(self.folder)!r} holds the prediction of {os.path.join(call["root"], name)!r}, where that of '
                    f'{path!r} would go: expected a folder for each; choose another --out, or pass --force'
                )
            for option, value, counts in (
                ('opacity', self.opacity, 'overlay' in kept and call['opacity'] is not None),
                ('max_frames', max_frames, is_video),
            ):
                if counts and call[option] != value:
                    raise UserInputError(
                        f'{str(self.folder)!r} holds the prediction of {path!r} with --{option.replace("_", "-")} '
                        f'{call[option]}, not {value}: expected one setting; choose another --out, or pass --force'
                    )

    def _calls(
        self, before: Sequence[Mapping[str, Any]], inputs: Inputs, max_frames: int | None
    ) -> list[dict[str, Any]]:
        """Which call predicts which inputs: this one those of which something is not there."""
        mine = {
            'root': os.path.abspath(self.root),
            'opacity': self.opacity if 'overlay' in self.kinds else None,
            'max_frames': max_frames,
        }
        todo = [path for path in inputs.images if self.missing(path)]
        todo += [path for path in inputs.videos if self.missing(path, is_video=True)]
        names = {os.path.relpath(path, self.root) for path in todo}
        calls = [{**call, 'inputs': sorted({*call['inputs']} - names)} for call in before]
        same = [call for call in calls if all(call[key] == value for key, value in mine.items())]
        if same:
            same[0]['inputs'] = sorted({*same[0]['inputs'], *names})
        else:
            calls.append({**mine, 'inputs': sorted(names)})
        return [call for call in calls if call['inputs']]

    def write_image(
        self, source: str, kinds: Sequence[str], image: np.ndarray, maps: PredictedMaps, trained: TrainedModel
    ) -> None:  # fmt: skip
        """Write kinds of an image's prediction."""
        for kind in kinds:
            painted = paint(kind, image, maps, trained, self.opacity)
            path = self.image_path(kind, source)
            self._write(path, cv2.imencode('.png', painted)[1].tobytes())

    def open_video(
        self, kind: str, source: str, rate: float, size: tuple[int, int]
    ) -> VideoFile | FrameFolder:
        """Begin the prediction of a video, of ``size`` (width, height)."""
        path = self.video_path(kind, source)
        return VideoFile(path, rate, size) if kind in _PAINTED else FrameFolder(path)

    def _write(self, path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
        except OSError as error:
            raise RunError(
                f'{str(path)!r} cannot be written ({error.strerror}); what was written before is whole: make room, '
                'and run the command again, it goes on there'
            ) from error


def paint(
    kind: str, image: np.ndarray, maps: PredictedMaps, trained: TrainedModel, opacity: float
) -> np.ndarray:
    """One kind of a prediction as an image: BGR uint8, or grey uint8 or uint16."""
    if kind == 'trainids':
        return maps.labels
    if kind == 'confidence':
        assert maps.confidence is not None
        return maps.confidence
    colours = colorize(maps.labels, trained.palette)
    return colours if kind == 'color' else blend(image, colours, opacity)


def _read(path: Path) -> dict | None:
    try:
        facts = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
