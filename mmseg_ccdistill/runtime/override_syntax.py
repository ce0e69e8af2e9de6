"""How settings are written on the command line: ``KEY=VALUE`` words, read and written.

Right input means what it means to mmengine's ``DictAction``. Different are inputs that it damages: a
value keeps its spaces, quotes and paths keep their commas, and each mistake is one sentence.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import UserInputError

_QUOTES = ('"', "'")
_CLOSING = {'(': ')', '[': ']'}
_NO_VALUE = {'none', 'null', 'nil'}

HELP = (
    'settings that replace those of the config, for example train_dataloader.batch_size=4 or '
    'model.loss_cdc=None; lists as key=a,b or key="[a,b]"; quote a word that holds spaces: '
    '"key=/x/my out"'
)


class OverrideError(UserInputError):
    """A word of the command line is no ``KEY=VALUE``; the message says what to write."""


class OverrideAction(argparse.Action):
    """Collects ``KEY=VALUE`` words into a dict; of several values of one key the last counts."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Read the words of one use of the option.

        Raises:
            OverrideError: If a word is no override.
        """
        words = [values] if isinstance(values, str) else list(values or ())
        known = getattr(namespace, self.dest, None) or {}
        read = parse_overrides(words, self.option_strings[-1])
        setattr(namespace, self.dest, {**known, **read})


def add_override_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options KEY=VALUE ...``."""
    parser.add_argument(
        '--cfg-options', nargs='+', action=OverrideAction, metavar='KEY=VALUE', help=HELP
    )


def parse_overrides(words: Sequence[str], option: str = '--cfg-options') -> dict[str, Any]:
    """Read ``KEY=VALUE`` words.

    Returns:
        Values by dotted key.

    Raises:
        OverrideError: If a word has no ``=``, no key or no value, spaces around ``=``, a value that
            cannot be read, or a key that contradicts another one.
    """
    overrides: dict[str, Any] = {}
    for index, word in enumerate(words):
        key, equals, text = word.partition('=')
        if (
            not equals
            or not key.strip()
            or not text.strip()
            or key != key.strip()
            or text[0].isspace()
        ):
            raise OverrideError(f'{option}: {_fault(words, index)}')
        if any(not part or part != part.strip() for part in key.split('.')):
            raise OverrideError(
                f'{option}: {word!r} has an empty or padded part in its key: expected names with single '
                f'dots between them; write {_tidy(key)}={text}'
            )
        try:
            overrides[key] = _parse(text)
        except OverrideError as error:
            raise OverrideError(f'{option}: {word!r}: {error}') from None
    _check_agreement(overrides, option)
    return overrides


def format_override(key: str, value: Any) -> str:
    """Write an override so that :func:`parse_overrides` reads the same value, on any machine.

    Args:
        key: Dotted key.
        value: None, bool, int, float, text, or a list or tuple of these.

    Returns:
        The word ``key=value``; quotes of the shell are not part of it.

    Raises:
        OverrideError: If the value cannot be written: a dict, or text in which both kinds of quotes
            stand before a comma.
    """
    try:
        word = f'{key}={_format(value)}'
        if repr(parse_overrides([word])) == repr({key: value}):
            return word
    except OverrideError:
        pass
    raise OverrideError(f'{key}: {value!r} cannot be written as KEY=VALUE')


def _tidy(key: str) -> str:
    return '.'.join(part.strip() for part in key.split('.') if part.strip()) or 'KEY'


def _fault(words: Sequence[str], index: int) -> str:
    """Say what is wrong with a word that lacks a part, in view of its neighbours."""
    word = words[index]
    key, equals, value = (part.strip() for part in word.partition('='))
    before = words[index - 1] if index else ''
    after = words[index + 1] if index + 1 < len(words) else ''
    if not equals and after.startswith('='):  # a = 1, a =1
        value = after[1:].strip() or (words[index + 2] if index + 2 < len(words) else 'VALUE')
        return f'spaces around "=": expected KEY=VALUE in one word; write {_tidy(key)}={value}'
    if equals and not value and after and '=' not in after:  # a= 1
        return f'spaces around "=": expected KEY=VALUE in one word; write {_tidy(key)}={after}'
    if not equals:
        whole = f'"{before} {word}"' if '=' in before else f'"KEY=... {word}"'
        return (
            f'{word!r} has no "=": expected KEY=VALUE; write {_tidy(word)}=VALUE, or put quotes around a '
            f'word that holds spaces: {whole}'
        )
    if not key:
        return f'{word!r} has no key: expected KEY=VALUE; write the name of the setting before "="'
    if not value:
        return (
            f'{word!r} has no value: expected KEY=VALUE; write {_tidy(key)}=None for no value, or '
            f'{_tidy(key)}="\'\'" for an empty text'
        )
    return f'{word!r} has spaces around "=": expected KEY=VALUE; write {_tidy(key)}={value}'


def _check_agreement(overrides: dict[str, Any], option: str) -> None:
    """Refuse a key together with one inside it: one of them would be lost."""
    for key in overrides:
        parts = key.split('.')
        for length in range(1, len(parts)):
            outer = '.'.join(parts[:length])
            if outer in overrides:
                raise OverrideError(
                    f'{option}: {outer!r} and {key!r} are both given, and one would undo the other: '
                    'expected one of them; take the other out'
                )


def _parse(text: str) -> Any:
    """Read a value."""
    inner = _unquoted(text)
    if inner is not None:
        if _unquoted(inner) is not None:  # quotes in quotes: the text to the letter
            return inner[1:-1]
        return _bracketed(inner) if _is_bracketed(inner) else _scalar(inner)
    if _is_bracketed(text):
        return _bracketed(text)
    if ',' not in text:
        return _word(text)
    pieces = [piece.strip() for piece in text.split(',')]
    is_word = any(isinstance(_scalar(piece), str) for piece in pieces)
    if is_word and _is_path(text, pieces):
        return text
    _refuse_dict(text)
    parts = _elements(text)
    if len(parts) == 1 and not text.endswith(','):  # all commas stand in brackets: name(1,2)
        return text
    return [_parse_element(part) for part in parts]


def _is_path(text: str, pieces: Sequence[str]) -> bool:
    """Tell whether a text with commas is one path, not a list.

    It is one if it or its folder exists, or if it begins like a path and one of its pieces has no slash.
    """
    if text[0] in _QUOTES or text[0] in _CLOSING:
        return os.path.exists(text)
    folder = os.path.dirname(text)
    if os.path.exists(text) or (folder and os.path.isdir(folder)):
        return True
    return '/' in pieces[0] and not all('/' in piece for piece in pieces if piece)


def _unquoted(text: str) -> str | None:
    """What stands in the quotes that enclose a text; None if none do, or if they enclose a part each."""
    if len(text) < 2 or text[0] not in _QUOTES or text[-1] != text[0]:
        return None
    inner = text[1:-1]
    return None if re.search(rf'{text[0]}\s*,', inner) else inner


def _refuse_dict(text: str) -> None:
    if text.startswith(('{', 'dict(')):
        raise OverrideError(
            'a dict is not read here: expected one KEY=VALUE for each of its settings; write KEY.NAME=VALUE'
        )


def _word(text: str) -> Any:
    """A value without quotes, which is no list."""
    _refuse_dict(text)
    if text.strip() != 'None' and text.strip().lower() in _NO_VALUE:
        raise OverrideError(
            f'{text} is no value: expected None with a capital N; write None, or "\'{text}\'" for the text'
        )
    if text[0] in _QUOTES:
        raise OverrideError(f'the quote {text[0]} is not closed: add it')
    if text[0] in _CLOSING and _CLOSING[text[0]] not in text:
        raise OverrideError(f'no {_CLOSING[text[0]]!r} ends the list: add it')
    return _scalar(text)


def _scalar(text: str) -> Any:
    """An int, float, bool, None or text, as mmengine reads it."""
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    word = text.strip()
    if word.lower() in ('true', 'false'):
        return word.lower() == 'true'
    return None if word == 'None' else text


def _is_bracketed(text: str) -> bool:
    """Whether a text is one list or tuple: its last character closes its first bracket."""
    if not text or _CLOSING.get(text[0]) != text[-1]:
        return False
    return next((place for place, depth in _depths(text) if depth == 0), -1) == len(text) - 1


def _bracketed(text: str) -> Any:
    """The list of ``[...]``, the tuple of ``(...)``."""
    elements = [_parse_element(part) for part in _elements(text[1:-1])]
    return tuple(elements) if text[0] == '(' else elements


def _parse_element(part: str) -> Any:
    """Read an element of a list: its own commas stand in quotes or brackets."""
    if _unquoted(part) is not None:
        return _parse(part)
    return _bracketed(part) if _is_bracketed(part) else _word(part)


def _depths(text: str) -> Iterator[tuple[int, int]]:
    """Yield (place, depth of brackets after it) of each character outside quotes."""
    closing: list[str] = []
    quote = ''
    begins = True  # an element: a quote counts here only
    for place, character in enumerate(text):
        if quote:
            rest = text[place + 1 :].lstrip()
            if character == quote and (not rest or rest[0] in ',)]'):
                quote = ''
            continue
        if character in _QUOTES and begins:
            quote, begins = character, False
            continue
        if character in _CLOSING:
            closing.append(_CLOSING[character])
        elif character in _CLOSING.values() and (not closing or closing.pop() != character):
            raise OverrideError(f'{character!r} closes no bracket: balance the brackets')
        begins = character in ',([' or (begins and character.isspace())
        yield place, len(closing)
    if quote:
        raise OverrideError(f'the quote {quote} is not closed: add it')
    if closing:
        raise OverrideError(f'no {closing[-1]!r} ends the list: add it')


def _elements(text: str) -> list[str]:
    """Split a list at its commas; a comma after the last element is allowed."""
    commas = [place for place, depth in _depths(text) if depth == 0 and text[place] == ',']
    bounds = [-1, *commas, len(text)]
    parts = [text[a + 1 : b].strip() for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    if not parts[-1]:
        parts.pop()
    if not all(parts):
        raise OverrideError("an element of the list is empty: write '' for an empty text")
    return parts


def _format(value: Any) -> str:
    """Write a value; text in as few quotes as read it back, alone and in a list."""
    if isinstance(value, list | tuple):
        elements = ','.join(map(_format, value))
        return f'[{elements}]' if isinstance(value, list) else f'({elements})'
    if not isinstance(value, str):
        return str(value)
    once = [f'"{value}"', f"'{value}'"]
    twice = [f'"\'{value}\'"', f'\'"{value}"\'']
    for text in [*([] if ',' in value else [value]), *once, *twice]:
        try:
            if text.strip() and _parse(text) == value and _bracketed(f'[{text}]') == [value]:
                return text
        except OverrideError:
            continue
    raise OverrideError(f'{value!r} has both kinds of quotes before commas')
