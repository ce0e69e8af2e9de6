"""What a contributor's tools say agrees: make lint, the commit hooks, the pages, the citation."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from mmseg_ccdistill import __version__

ROOT = Path(__file__).resolve().parents[1]


def recipe(target: str) -> list[str]:
    """Lines of a target of the Makefile."""
    text = (ROOT / 'Makefile').read_text(encoding='utf-8')
    (lines,) = re.findall(rf'^{target}:.*\n((?:\t.*\n)+)', text, flags=re.M)
    return [line.strip() for line in lines.splitlines()]


def test_lint_checks_rules_format_and_types() -> None:
    assert recipe('lint') == [
        '@$(PY) -m ruff check .',
        '@$(PY) -m ruff format --check .',
        '@$(PY) -m mypy $(LINTED)',
        '@$(VENV)/bin/lint-imports --no-cache --no-logo',
    ]
    assert '\nmake lint\n' in (ROOT / '.ci' / 'run').read_text(encoding='utf-8')


def test_the_commit_hooks_are_the_lint_of_the_environment() -> None:
    """No repository of hooks is fetched, so they work offline and have the versions of `make lint`."""
    (repository,) = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text('utf-8'))['repos']
    assert repository['repo'] == 'local'
    assert all(hook['language'] == 'system' for hook in repository['hooks'])
    assert [hook['entry'] for hook in repository['hooks']] == [
        'python -m ruff check --force-exclude',
        'python -m ruff format --force-exclude',
        'python -m mypy ccdistill mmseg_ccdistill tools benchmarks',
        'lint-imports --no-cache --no-logo',
    ]
    # Ruff is given the files of the commit; the others look at all.
    given = [hook.get('pass_filenames', True) for hook in repository['hooks']]
    assert given == [True, True, False, False]
    makefile = (ROOT / 'Makefile').read_text(encoding='utf-8')
    assert 'LINTED := $(wildcard ccdistill mmseg_ccdistill tools benchmarks)' in makefile


def test_the_page_for_contributors_names_targets_that_exist() -> None:
    page = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8')
    named = set(re.findall(r'\bmake ([a-z-]+)', page))
    makefile = (ROOT / 'Makefile').read_text(encoding='utf-8')
    targets = set(re.findall(r'^([a-z-]+):', makefile, flags=re.M))
    assert {'install', 'lint', 'test', 'test-all', 'test-openmmlab'} <= named
    assert named <= targets


def test_the_citation_is_that_of_the_software_and_of_the_paper() -> None:
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text('utf-8'))
    assert citation['cff-version'] == '1.2.0' and citation['type'] == 'software'
    assert citation['version'] == __version__ and citation['license'] == 'Apache-2.0'
    paper = citation['preferred-citation']
    assert paper['type'] == 'conference-paper' and paper['year'] == 2022
    readme = (ROOT / 'README.md').read_text(encoding='utf-8')
    assert f'title     = {{{paper["title"]}}}' in readme
    names = ' and '.join(f'{a["family-names"]}, {a["given-names"]}' for a in paper['authors'])
    assert f'author    = {{{names}}}' in readme


def test_a_source_distribution_takes_the_pages_along() -> None:
    first, *others = (ROOT / 'MANIFEST.in').read_text(encoding='utf-8').splitlines()
    assert {'CONTRIBUTING.md', 'CITATION.cff', 'model-index.yml'} <= set(first.split())
    assert all((ROOT / name).is_file() for name in first.split()[1:])
    assert 'recursive-include configs *.py *.md *.yml' in others
