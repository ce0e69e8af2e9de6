from __future__ import annotations

import json

from mmseg_ccdistill.curriculum import How, alignment_sentence, count_alignments

HOWS = {
    'b': How(kind='warped', reason=None, matches=206, inliers=87, distance=4.7, rotation=1.0),
    'a': How(kind='warped', reason=None, matches=96, inliers=27, distance=6.0, rotation=1.8),
    'd': How(kind='filtered', reason='fewer than 14 matches', matches=3, inliers=0),
    'c': How(kind='homography', reason=None, matches=50, inliers=40),
    'e': How(kind='alone', reason='no day image'),
}


def test_counts() -> None:
    counts = count_alignments(HOWS)
    assert counts == {
        'pairs': 5,
        'warped': 2,
        'homography': 1,
        'filtered': 1,
        'alone': 1,
        'reasons': {'fewer than 14 matches': 1, 'no day image': 1},
        'median': {'inliers': 57.0, 'distance': 5.35, 'rotation': 1.4},
        'not_warped': {'d': 'fewer than 14 matches', 'e': 'no day image'},
    }
    assert json.loads(json.dumps(counts)) == counts
    shuffled = {name: HOWS[name] for name in 'edcba'}
    assert json.dumps(count_alignments(shuffled)) == json.dumps(counts)


def test_the_line_of_the_log() -> None:
    assert alignment_sentence(count_alignments(HOWS)) == (
        'Of 5 pairs: 2 warped, 1 warped as a plane, 1 filtered, 1 left alone '
        '(1 x fewer than 14 matches; 1 x no day image).'
    )
    assert alignment_sentence(count_alignments({})) == 'Of 0 pairs: none.'
