from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmseg_ccdistill.mini_night.world_manifest import (
    MANIFEST,
    check_same_set,
    day_part,
    manifest_text,
)

EASY = {'renderer_version': 2, 'seed': 3, 'source_size': [512, 256], 'night': 'easy'}
HARD = {**EASY, 'night': 'hard'}


def test_the_usual_night_leaves_no_trace_in_the_manifest() -> None:
    before = json.dumps({k: v for k, v in EASY.items() if k != 'night'}, indent=2) + '\n'
    assert manifest_text(EASY) == before  # what sets without a choice of nights have
    assert json.loads(manifest_text(HARD)) == HARD


def test_the_day_part_is_the_same_for_both_nights() -> None:
    assert day_part(manifest_text(HARD)) == day_part(manifest_text(EASY)) == manifest_text(EASY)
    assert day_part('') == ''
    assert day_part(manifest_text({**HARD, 'seed': 4})) != manifest_text(EASY)


def test_each_other_setting_is_named(tmp_path: Path) -> None:
    manifest = tmp_path / MANIFEST
    manifest.write_text(manifest_text(EASY))
    check_same_set(manifest, EASY)
    with pytest.raises(ValueError) as caught:
        check_same_set(manifest, {**HARD, 'seed': 4})
    assert str(caught.value) == (
        f"{tmp_path} holds a mini night with seed 3 instead of 4, night 'easy' instead of 'hard': "
        'choose another folder'
    )
    manifest.write_text(json.dumps({**EASY, 'fog': 1}))
    with pytest.raises(ValueError, match='with other keys: choose another folder'):
        check_same_set(manifest, EASY)


@pytest.mark.parametrize('content', ['', '{"seed": ', '[1, 2]', '7'])
def test_a_manifest_that_cannot_be_read_is_named(content: str, tmp_path: Path) -> None:
    manifest = tmp_path / MANIFEST
    manifest.write_text(content)
    with pytest.raises(ValueError, match=r'mini_night\.json is not readable as JSON: remove it'):
        check_same_set(manifest, EASY)
