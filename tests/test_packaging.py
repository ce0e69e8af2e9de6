import ast
import configparser
import importlib
import pkgutil
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import mmseg_ccdistill
from mmseg_ccdistill.installed_stack import installed_stacks

ROOT = Path(__file__).resolve().parents[1]


def _requirements(name: str) -> dict[str, Requirement]:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    parsed = [Requirement(line) for line in lines if line and not line.startswith('#')]
    return {requirement.name: requirement for requirement in parsed}


def _python_files() -> list[Path]:
    folders = ('ccdistill', 'mmseg_ccdistill', 'tools', 'configs', 'benchmarks')
    return [path for folder in folders for path in sorted((ROOT / folder).rglob('*.py'))]


def test_base_package_requires_neither_stack() -> None:
    names = set(_requirements('runtime'))
    assert {'numpy', 'opencv-python', 'rich'} <= names
    assert not [name for name in names if re.search('torch|mmengine|mmcv|mmseg', name)]


def test_stacks_are_bounded() -> None:
    onedl, upstream = _requirements('onedl'), _requirements('openmmlab')
    assert set(onedl) == {'onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation', 'torch'}
    # The versions that the project is tested on, and the first that it must not take.
    for name, tested, too_new in [
        ('onedl-mmengine', '0.10.12', '0.11'),
        ('onedl-mmcv', '2.3.6', '2.4'),
        ('onedl-mmsegmentation', '1.4.2', '1.5'),
        ('torch', '2.13.0', '2.14'),
        ('torch', '2.3', '2.14.1'),
    ]:
        assert tested in onedl[name].specifier and too_new not in onedl[name].specifier
    pins = {
        name: str(upstream[name].specifier)
        for name in ('torch', 'mmengine', 'mmcv', 'mmsegmentation')
    }
    assert pins == {
        'torch': '==2.1.2',
        'mmengine': '==0.10.7',
        'mmcv': '==2.1.0',
        'mmsegmentation': '==1.2.2',
    }
    for name, tested, too_new in [
        ('numpy', '1.26.4', '2.0'),
        ('opencv-python', '4.11.0', '5.0'),
        ('setuptools', '69.5', '82.0'),  # 82 has no pkg_resources, which mmengine 0.10.7 imports
    ]:
        assert tested in upstream[name].specifier and too_new not in upstream[name].specifier


def test_installed_versions_are_those_of_one_stack() -> None:
    """What the suite has run on, and that no other version slipped in."""
    (stack,) = [name for name, versions in installed_stacks().items() if versions]
    wanted = _requirements(stack)
    assert {
        name: version(name) for name in wanted if version(name) not in wanted[name].specifier
    } == {}


def test_extras_come_from_the_requirement_files() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    extras = dict(setup['options.extras_require'])
    others = {'docs', 'comparisons', 'pretrained', 'onnx', 'openvino', 'page', 'timm'}
    assert set(extras) == {'onedl', 'openmmlab', 'tests', *others}
    for name, value in extras.items():
        assert value == f'file: requirements/{name}.txt' and (ROOT / value[6:]).is_file()


def test_what_a_change_must_pass_installs_the_programs_to_compare_with() -> None:
    assert 'export EXTRAS=onedl,tests,comparisons,pretrained' in (ROOT / '.ci' / 'run').read_text()
    for package in ('torch', 'torchvision', 'numpy', 'opencv-python'):  # those of the stack stay
        assert package not in {**_requirements('comparisons'), **_requirements('pretrained')}


def test_benchmarks_import_nothing_but_what_a_developer_installs() -> None:
    """The stack brings torch, matplotlib and scipy along; the rest stands in the requirement files."""
    declared = {*_requirements('runtime'), *_requirements('tests')}
    allowed = {name.lower() for name in declared} | {'cv2', 'pil'}
    allowed |= {'torch', 'mmengine', 'mmcv', 'mmseg', 'matplotlib', 'scipy'}
    allowed |= set(sys.stdlib_module_names) | {'mmseg_ccdistill', 'benchmarks'}
    found = {
        (name.split('.')[0], path.name)
        for path in (ROOT / 'benchmarks').rglob('*.py')
        for name in _imports(path)
    }
    assert [entry for entry in sorted(found) if entry[0].lower() not in allowed] == []


def test_installed_metadata() -> None:
    try:
        found = metadata('mmseg-ccdistill')
    except PackageNotFoundError:
        pytest.skip('the package is on the path but not installed')
    assert found['Version'] == mmseg_ccdistill.__version__
    assert found['Requires-Python'] == '>=3.10'
    assert {'onedl', 'openmmlab'} <= set(found.get_all('Provides-Extra'))
    for text in requires('mmseg-ccdistill') or []:
        requirement = Requirement(text)
        if requirement.name == 'torch':  # never without one of the two extras
            assert requirement.marker is not None
            assert not requirement.marker.evaluate({'extra': 'tests'})


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f'{node.module}.{alias.name}' for alias in node.names)}
    return names


def test_compiled_operators_are_never_imported() -> None:
    files = _python_files()
    assert len(files) > 20
    offenders = [
        (str(path), name)
        for path in files
        for name in _imports(path)
        if re.match(r'mmcv\.(ops|_ext)\b', name)
    ]
    assert offenders == []


def test_package_imports_nothing_but_its_declared_dependencies() -> None:
    allowed = {'click', 'numpy', 'cv2', 'PIL', 'rich', 'torch', 'mmengine', 'mmcv', 'mmseg'}
    allowed |= {'jinja2', 'matplotlib', 'scipy'}
    optional = {**_requirements('pretrained'), **_requirements('page')}
    allowed |= {name.replace('-', '_') for name in optional}
    allowed |= set(sys.stdlib_module_names) | {'ccdistill', 'mmseg_ccdistill'}
    found = {
        (name.split('.')[0], path.name)
        for package in ('ccdistill', 'mmseg_ccdistill')
        for path in (ROOT / package).rglob('*.py')
        for name in _imports(path)
    }
    assert [entry for entry in sorted(found) if entry[0] not in allowed] == []


def test_every_registered_class_is_exported_by_its_subpackage() -> None:
    from mmseg import registry

    for module in pkgutil.walk_packages(mmseg_ccdistill.__path__, 'mmseg_ccdistill.'):
        importlib.import_module(module.name)  # finds what is registered in files nobody imports
    registered = {
        (name, cls)
        for entry in vars(registry).values()
        if isinstance(entry, registry.MODELS.__class__)
        for name, cls in entry.module_dict.items()
        if cls.__module__.startswith('mmseg_ccdistill.')
    }
    assert {'RichProgressHook', 'CCDistillSegmentor', 'LABTransfer'} <= {n for n, _ in registered}
    for name, cls in registered:
        parent = importlib.import_module(cls.__module__.rpartition('.')[0])
        assert getattr(parent, name) is cls and name in parent.__all__, name


def test_importing_the_package_registers_every_class() -> None:
    """What ``custom_imports = dict(imports=['mmseg_ccdistill'])`` gives a config, and no more."""
    script = (
        'import mmseg_ccdistill, mmseg.registry as r\n'
        'tables = [t for t in vars(r).values() if isinstance(t, type(r.MODELS))]\n'
        'print(sorted({n for t in tables for n, c in t.module_dict.items()'
        ' if c.__module__.startswith("mmseg_ccdistill.")}))'
    )
    decorated = {
        node.name
        for path in (ROOT / 'mmseg_ccdistill').rglob('*.py')
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any('register_module' in ast.dump(decorator) for decorator in node.decorator_list)
    }
    result = _run_python(script)
    assert result.returncode == 0, result.stderr
    assert set(ast.literal_eval(result.stdout.splitlines()[-1])) == decorated


def _run_python(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-c', script], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
