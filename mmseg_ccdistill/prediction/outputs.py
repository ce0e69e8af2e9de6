"""Where predictions go: one folder for each kind, each file whole or not there, nothing overwritten."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import UserInputError
from ..evaluation.prediction_files import PredictionNameError, check_names, prediction_path
from ..runtime.atomic_file import write_atomically
from ..runtime.file_digest import file_digest
from ..runtime.output_place import check_output_folder
from ..version import __version__
from ..visualization.panel import colorize
from .inputs import Inputs, is_video, no_image_reason
from .record import Made, calls_of, read_made
from .segmentation import PredictedMaps, blend
from .trained_model import TrainedModel
from .videos import FrameFolder, VideoFile, check_frames_alone, remove_frames
from .writing import writing

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

    def path(self, kind: str, source: str, root: str | None = None) -> Path:
        """File of an input's prediction; folder of a video's numbered images.

        Args:
            kind: Key of :data:`KINDS`.
            source: The input.
            root: Folder from which its folders are kept; None: that of these outputs.
        """
        folder = str(self.folder / kind)
        path = Path(prediction_path(source, folder, self.root if root is None else root))
        if not is_video(source):
            return path
        return path.with_suffix('.mp4' if kind in _PAINTED else '')

    def missing(self, source: str) -> tuple[str, ...]:
        """Kinds of an input that are to be written: those that are not there, or all with ``force``."""
        return tuple(k for k in self.kinds if self.force or not self.path(k, source).exists())

    def check(self, inputs: Inputs) -> None:
        """Check that outputs replace neither each other nor an input, and that the folder can be written.

        Raises:
            UserInputError: If one does or it cannot.
        """
        stay = [*inputs.files, *(broken.name for broken in inputs.no_images)]
        for kind in self.kinds:
            for group in (inputs.images, inputs.videos):
                try:
                    check_names(group, stay, str(self.folder / kind), self.root)
                except PredictionNameError as error:
                    raise UserInputError(f'--out {self.folder}: {error}') from error
            named = {os.path.abspath(self.path(kind, path)) for path in inputs.videos}
            replaced = sorted(named & {os.path.abspath(path) for path in stay})
            if replaced:
                raise UserInputError(
                    f'--out {self.folder}: the prediction of a video would replace the input {replaced[0]!r}: '
                    'expected a folder of its own for predictions; name another'
                )
        self._check_places(inputs)
        check_output_folder(self.folder)

    def _check_places(self, inputs: Inputs) -> None:
        """Check that no prediction is, or lies in, the folder of frames or the file of another one."""
        old = {str(path): made.source for path, made in self._made(_read(self._record)).items()}
        for kind in self.kinds:
            images, videos = (
                {str(self.path(kind, source)): source for source in group}
                for group in (inputs.images, inputs.videos)
            )
            mine = {**images, **videos}
            places = {**old, **mine}
            shared = [(at, images[at], videos[at]) for at in images.keys() & videos.keys()]
            shared += [
                (at, places[at], source)
                for place, source in places.items()
                for at in _folders_of(place, str(self.folder))
                if at in places and (at in mine or place in mine)
            ]
            for at, one, other in sorted(shared):
                named = [path for path in (one, other) if path in inputs.images]
                if all(no_image_reason(path) is None for path in named):
                    raise UserInputError(
                        f'the predictions of {one!r} and of {other!r} would share {at!r}: expected a name of its own '
                        'for each; rename one, or give each an --out of its own'
                    )

    def record(self, trained: TrainedModel, inputs: Inputs, max_frames: int | None = None) -> None:
        """Write ``predictions.json``: what the indices mean, of which model and inputs they are.

        With ``force``, predictions of another model, input or setting that are to be replaced are removed before: one
        that stayed after an interruption would be taken for a new one.

        Args:
            trained: The model.
            inputs: What is to be predicted.
            max_frames: Of a video; None: all.

        Raises:
            UserInputError: If ``force`` is not set and the folder holds predictions of another model, or what would be
                kept of these inputs is of other ones, or of other settings; if it is set and something of another
                model would stay.
            RunError: If something cannot be written or removed.
        """
        facts: dict[str, Any] = {
            'model': str(trained.path),
            'sha256': file_digest(trained.path),
            'branch': trained.branch,
            'classes': list(trained.classes),
            'palette': [list(colour) for colour in trained.palette],
            'mmseg_ccdistill_version': __version__,
        }
        before = _read(self._record)
        of_other = before is not None and any(
            before.get(k) != facts[k] for k in ('sha256', 'branch')
        )
        model = (before or {}).get('model')
        made, plan = self._made(before), self._plan(inputs, max_frames)
        differing = [path for path, one in made.items() if path in plan and plan[path] != one]
        if self.force:
            stale = set(made if of_other else differing)
            _remove(stale, plan, model)
            made = {path: one for path, one in made.items() if path not in stale}
        elif of_other:
            raise UserInputError(
                f'{str(self.folder)!r} holds predictions of another model ({model}): expected '
                'a folder for each model; choose another --out, or pass --force'
            )
        elif differing:
            raise UserInputError(self._difference(made[differing[0]], plan[differing[0]]))
        new = {path: one for path, one in plan.items() if self.force or not path.exists()}
        facts['calls'] = calls_of({**made, **new}.values())
        self._write(self._record, (json.dumps(facts, indent=2) + '\n').encode())

    @property
    def _record(self) -> Path:
        return self.folder / _RECORD

    def _made(self, facts: Mapping[str, Any] | None) -> dict[Path, Made]:
        """The predictions of a record that are there."""
        made = {
            self.path(one.kind, one.source, one.root): one for one in read_made(facts, self._record)
        }
        return {path: one for path, one in made.items() if path.exists()}

    def _plan(self, inputs: Inputs, max_frames: int | None) -> dict[Path, Made]:
        """All predictions of some inputs, whether they are there or not."""
        return {
            self.path(kind, source): Made(
                kind=kind,
                root=os.path.abspath(self.root),
                opacity=self.opacity if kind == 'overlay' else None,
                max_frames=max_frames if is_video(source) else None,
                name=os.path.relpath(source, self.root),
            )
            for kind in self.kinds
            for source in inputs.files
        }

    def _difference(self, made: Made, planned: Made) -> str:
        """Why a prediction that is there cannot be kept as a planned one."""
        there = f'{str(self.folder)!r} holds the prediction of {made.source!r}'
        if made.source != planned.source:
            return (
                f'{there}, where that of {planned.source!r} would go: expected a folder for each; choose another '
                '--out, or pass --force'
            )
        name = 'opacity' if made.opacity != planned.opacity else 'max_frames'
        return (
            f'{there} with --{name.replace("_", "-")} {getattr(made, name)}, not {getattr(planned, name)}: expected '
            'one setting; choose another --out, or pass --force'
        )

    def write_image(
        self, source: str, kinds: Sequence[str], image: np.ndarray, maps: PredictedMaps, trained: TrainedModel
    ) -> None:  # fmt: skip
        """Write kinds of an image's prediction."""
        for kind in kinds:
            painted = paint(kind, image, maps, trained, self.opacity)
            path = self.path(kind, source)
            self._write(path, cv2.imencode('.png', painted)[1].tobytes())

    def open_video(
        self, kind: str, source: str, rate: float, size: tuple[int, int]
    ) -> VideoFile | FrameFolder:
        """Begin the prediction of a video, of ``size`` (width, height)."""
        path = self.path(kind, source)
        return VideoFile(path, rate, size) if kind in _PAINTED else FrameFolder(path)

    def _write(self, path: Path, content: bytes) -> None:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)


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


def _remove(stale: Collection[Path], replaced: Collection[Path], model: str | None) -> None:
    """Remove predictions that are to be replaced, of ``model`` or of other settings."""
    staying = sorted(path for path in stale if path not in replaced)
    if staying:
        raise UserInputError(
            f'{str(staying[0])!r} is of another model ({model}) and this call does not replace it: expected a folder '
            'for each model; choose another --out, delete that prediction, or name its input and kind, too'
        )
    for path in stale:
        check_frames_alone(path)
    for path in stale:
        with writing(path):
            if path.is_dir():
                remove_frames(path)
            else:
                path.unlink()


def _read(path: Path) -> dict | None:
    try:
        facts = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _folders_of(path: str, top: str) -> Iterator[str]:
    """The folders above a path, below another folder."""
    while len(path := os.path.dirname(path)) > len(top):
        yield path
