"""``KEY=VALUE`` words: mmengine's meaning for right input, one sentence for each mistake."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import DictAction

from mmseg_ccdistill.runtime.override_syntax import (
    OverrideError,
    add_override_argument,
    format_override,
    parse_overrides,
)


def value_of(text: str) -> Any:
    (value,) = parse_overrides([f'a={text}']).values()
    return value


#: What both readers take alike.
RIGHT = [
    *('1', '-3', '0.5', '1e-4', 'inf', '1_000', 'True', 'False', 'true', 'FALSE', 'None'),
    *('word', 'a.b', 'a-b', '/x/y.pth', 'https://host/a.pth?x=1', 'a=b', 'x[0]', 'a(b)', "it's"),
    *('1,2,3', 'a,b', 'a, b', '1,a,None,True,0.5', '1,', '[1,2,3]', '(1,2)', '[]', '()', '(1)', '(1,)'),
    *('[a, b, c]', '[(1, 2, 3), [a, b], c]', '[[1, 2], [3, 4]]', '((1,2),(3,4))', '[1, (2, [3])]'),
    *('"word"', "'word'", '"1"', "'None'", '"[a,b]"', "'[(a,b),(c,d)]'", '"a","b"', "['a', 'b']"),
    *('["a", 1]', "''", '""', '[None, True]', 'a/b,c/d', '/none/a,/none/b', '[/x/a,/x/b]'),
]  # fmt: skip


@pytest.mark.parametrize('text', RIGHT)
def test_right_input_means_what_it_means_to_mmengine(text: str) -> None:
    expected = DictAction._parse_iterable(text)
    assert repr(value_of(text)) == repr(expected)


NUMBERS = st.one_of(
    st.integers(-999, 999), st.booleans(), st.none(), st.floats(-1e6, 1e6), st.just(math.inf)
)
WORDS = st.from_regex(r'[a-z][a-z0-9_.]{0,8}', fullmatch=True).filter(
    lambda word: word.lower() not in {'none', 'null', 'nil', 'inf', 'nan', 'infinity'}
)
LISTS = st.recursive(
    NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=8,
)


@settings(deadline=None)
@given(LISTS)
def test_any_nested_list_means_what_it_means_to_mmengine(value: Any) -> None:
    word = format_override('a', value)
    text = word.partition('=')[2]
    assert repr(value_of(text)) == repr(value)
    if '"' not in text:  # a word such as true needs quotes that mmengine does not know
        assert repr(DictAction._parse_iterable(text)) == repr(value)


@settings(deadline=None)
@given(st.text(st.characters(codec='utf-8', exclude_characters='\x00'), max_size=12))
def test_any_text_survives_writing_and_reading(text: str) -> None:
    try:
        word = format_override('a.b', text)
    except OverrideError:
        assert '",' in text.replace(' ', '') or "'," in ''.join(text.split())
        return
    assert parse_overrides([word]) == {'a.b': text}
    assert parse_overrides([format_override('a', [text, 1])]) == {'a': [text, 1]}


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('/x/my out', '/x/my out'),
        ('a  b', 'a  b'),
        ('name(1,2)', 'name(1,2)'),
        ('[a b, c d]', ['a b', 'c d']),
        ('a b,c d', ['a b', 'c d']),
        ('"/x/a,b.pth"', '/x/a,b.pth'),
        ('"a,b"', 'a,b'),
        ('["a,b", c]', ['a,b', 'c']),
        ('["it\'s, it", 1]', ["it's, it", 1]),
        ('"\'1\'"', '1'),
        ('"\'[1]\'"', '[1]'),
        ("'none'", 'none'),
        ('/no/such/a,b.pth', '/no/such/a,b.pth'),  # a piece without a slash
        ('/no/such/a,b,c d', '/no/such/a,b,c d'),
        ('(1,2),(3,4)', [(1, 2), (3, 4)]),
        ('/x/=y', '/x/=y'),
    ],
)
def test_values_that_mmengine_damages_stay_whole(text: str, expected: Any) -> None:
    assert value_of(text) == expected


def test_a_path_with_commas_is_a_path_if_it_or_its_folder_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / 'a,b'
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    for path in (folder, folder / 'new, file.pth', folder / '[c', Path('a,b'), Path('a,b/c,d')):
        assert value_of(str(path)) == str(path)
    assert value_of('a,c') == ['a', 'c']
    (tmp_path / '1,2').mkdir()
    assert value_of('1,2') == [1, 2]  # numbers are a list whatever lies there


MISTAKES = [
    (['a'], "'a' has no \"=\": expected KEY=VALUE; write a=VALUE, or put quotes around a word that "
     'holds spaces: "KEY=... a"'),
    (['out=/x/my', 'out'], "'out' has no \"=\": expected KEY=VALUE; write out=VALUE, or put quotes "
     'around a word that holds spaces: "out=/x/my out"'),
    (['a.b', '=', '4'], 'spaces around "=": expected KEY=VALUE in one word; write a.b=4'),
    (['a.b', '=4'], 'spaces around "=": expected KEY=VALUE in one word; write a.b=4'),
    (['a.b=', '4'], 'spaces around "=": expected KEY=VALUE in one word; write a.b=4'),
    (['a.b = 4'], "'a.b = 4' has spaces around \"=\": expected KEY=VALUE; write a.b=4"),
    (['a.b= 4'], "'a.b= 4' has spaces around \"=\": expected KEY=VALUE; write a.b=4"),
    (['=4'], "'=4' has no key: expected KEY=VALUE; write the name of the setting before \"=\""),
    (['a='], "'a=' has no value: expected KEY=VALUE; write a=None for no value, or a=\"''\" for an "
     'empty text'),
    (['a=', 'b=1'], "'a=' has no value: expected KEY=VALUE; write a=None for no value, or a=\"''\" for "
     'an empty text'),
    (['a..b=1'], "'a..b=1' has an empty or padded part in its key: expected names with single dots "
     'between them; write a.b=1'),
    (['.a=1'], "'.a=1' has an empty or padded part in its key: expected names with single dots between "
     'them; write a=1'),
    *(([f'a={word}'], f"'a={word}': {word} is no value: expected None with a capital N; write None, or "
       f'"\'{word}\'" for the text') for word in ('none', 'null', 'NULL', 'nil', 'NONE')),
    (['a=[1,none]'], "'a=[1,none]': none is no value: expected None with a capital N; write None, or "
     '"\'none\'" for the text'),
    (['a=[1,2'], "'a=[1,2': no ']' ends the list: add it"),
    (['a=[1'], "'a=[1': no ']' ends the list: add it"),
    (['a=1,2]'], "'a=1,2]': ']' closes no bracket: balance the brackets"),
    (['a=[(1,2]'], "'a=[(1,2]': ']' closes no bracket: balance the brackets"),
    (['a="b'], "'a=\"b': the quote \" is not closed: add it"),
    (['a=[1,,2]'], "'a=[1,,2]': an element of the list is empty: write '' for an empty text"),
    (['a=,'], "'a=,': an element of the list is empty: write '' for an empty text"),
    *(([f'a={text}'], f'\'a={text}\': a dict is not read here: expected one KEY=VALUE for each of its '
       'settings; write KEY.NAME=VALUE') for text in ('{b:1}', '{b:1,c:2}', 'dict(b=1,c=2)')),
    (['a=None', 'a.b=1'], "'a' and 'a.b' are both given, and one would undo the other: expected one of "
     'them; take the other out'),
    (['a.b.c=1', 'a=None'], "'a' and 'a.b.c' are both given, and one would undo the other: expected one "
     'of them; take the other out'),
]  # fmt: skip


@pytest.mark.parametrize(('words', 'sentence'), MISTAKES)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(OverrideError) as raised:
        parse_overrides(words)
    assert str(raised.value) == f'--cfg-options: {sentence}'


def test_the_option_collects_all_its_words_and_the_last_value_counts() -> None:
    parser = argparse.ArgumentParser()
    add_override_argument(parser)
    words = ['--cfg-options', 'a=1', 'b.c=x y', '--cfg-options', 'a=2']
    assert parser.parse_args(words).cfg_options == {'a': 2, 'b.c': 'x y'}
    assert parser.parse_args([]).cfg_options is None


@pytest.mark.parametrize(
    ('value', 'word'),
    [
        (None, 'a=None'),
        (0.1, 'a=0.1'),
        ('/x/my out', 'a=/x/my out'),
        ('/x/a,b', 'a="/x/a,b"'),
        ("/x/it's=a", "a=/x/it's=a"),
        ('"/x",b', 'a=\'"/x",b\''),
        ('1', 'a="\'1\'"'),
        ('', 'a=""'),
        ([1, 'b c', (True, None)], 'a=[1,b c,(True,None)]'),
    ],
)
def test_values_are_written_in_as_few_quotes_as_possible(value: Any, word: str) -> None:
    assert format_override('a', value) == word


def test_a_dict_cannot_be_written() -> None:
    with pytest.raises(OverrideError, match='cannot be written as KEY=VALUE'):
        format_override('a', {'b': 1})
