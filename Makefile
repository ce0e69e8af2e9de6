# make demo      set up .venv, then render, train, adapt, test and draw the panel
# make test      the default test suite            make test-all  the slow tests too
# make lint      ruff (rules, format) and mypy     make clean     delete caches and builds
# make docs      the documentation site, in build/docs
# make test-openmmlab                              the default test suite on the upstream stack (docs/stacks.md)
#
# PYTHON=/path/to/python3.11   the interpreter that the environment is made from: 3.10 or newer (upstream: 3.10 or 3.11)
# VENV=.venv                   the environment (upstream: .venv-openmmlab)
# EXTRAS=onedl,tests,pretrained   what is installed beside the package: one stack, onedl or openmmlab, and more
# PYTEST_ARGS="-k launch -x"   more arguments for pytest

SHELL := /bin/sh
EXTRAS ?= onedl,tests,pretrained
PYTEST_ARGS ?=
DEMO_ARGS ?=

comma := ,
STACK := $(filter onedl openmmlab,$(subst $(comma), ,$(EXTRAS)))
ifneq ($(word 2,$(STACK)),)
$(error EXTRAS=$(EXTRAS) names two stacks, which overwrite each other: name one)
endif
ifeq ($(STACK),openmmlab)
VENV := .venv-openmmlab
# torch 2.1 has no build for Python 3.12.
PYTHON_VERSIONS := 3.10 or 3.11
IS_SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 12))
else
VENV := .venv
PYTHON_VERSIONS := 3.10 or newer
IS_SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))
endif
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
STAMP := $(VENV)/.installed

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python3.10 python; do \
	if $$name -c '$(IS_SUITABLE)' >/dev/null 2>&1; then echo $$name; break; fi; done)
REQUIREMENTS := setup.cfg pyproject.toml $(wildcard requirements/*.txt)
STACK_REQUIREMENTS := $(STACK:%=requirements/%.txt)
# The one line of the stack that names torch: installed first, because it is the large download.
TORCH = $(shell grep -h '^torch[=<>]' $(STACK_REQUIREMENTS))
LINTED := $(wildcard ccdistill mmseg_ccdistill tools benchmarks)

.DEFAULT_GOAL := help
.PHONY: help install demo test test-openmmlab test-all lint docs clean

help:
	@sed -n '1,10s/^# \{0,1\}//p' Makefile

install: $(STAMP)

$(STAMP): $(REQUIREMENTS)
	@if ! "$(PYTHON)" -c '$(IS_SUITABLE)' >/dev/null 2>&1; then \
		echo "No Python $(PYTHON_VERSIONS) with the venv module was found (PYTHON=$(PYTHON))." >&2; \
		echo "Install one (Debian, Ubuntu: apt install python3 python3-venv) or name it: make ... PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi
	@if ! $(PY) -c '$(IS_SUITABLE)' >/dev/null 2>&1; then \
		echo "Making $(VENV) with $$("$(PYTHON)" --version)"; \
		"$(PYTHON)" -m venv --clear $(VENV); \
	fi
ifneq ($(STACK),)
	@echo 'Installing $(TORCH) (the large download of the set-up, needed once)'
	@$(PIP) install --constraint $(STACK_REQUIREMENTS) '$(TORCH)'
endif
ifeq ($(STACK),openmmlab)
	@echo 'Installing the upstream stack. mmcv is compiled from its source release: several minutes, once.'
	@$(PIP) install --quiet --constraint $(STACK_REQUIREMENTS) setuptools numpy wheel ninja psutil
	@CUDA_VISIBLE_DEVICES= FORCE_CUDA=0 MMCV_WITH_OPS=1 $(PIP) install --no-build-isolation --no-cache-dir --requirement $(STACK_REQUIREMENTS) || { \
		echo "If mmcv did not compile: it takes a C++ compiler and Python's headers (Debian, Ubuntu: apt install g++ python3-dev)." >&2; \
		exit 1; \
	}
endif
	@echo 'Installing mmseg-ccdistill[$(EXTRAS)]'
	@$(PIP) install --quiet --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(STAMP)
	@$(PY) -m benchmarks.demo $(DEMO_ARGS)

test: $(STAMP)
	@$(PY) -m pytest -m 'not slow' -n auto --maxprocesses 8 --max-worker-restart 0 --dist loadfile $(PYTEST_ARGS)

test-openmmlab:
	@$(MAKE) test EXTRAS=openmmlab,tests

test-all: $(STAMP)
	@$(PY) -m pytest $(PYTEST_ARGS)

lint: $(STAMP)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy $(LINTED)
	@$(VENV)/bin/lint-imports --no-cache --no-logo

docs: $(STAMP)
	@$(PIP) install --quiet --requirement requirements/docs.txt
	@$(PY) -m sphinx -b html -c docs -q -W --keep-going . build/docs
	@echo 'The site is in build/docs/docs/index.html'

clean:
	rm -rf build docs/api dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find . \( -path ./$(VENV) -o -name '.venv*' \) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
