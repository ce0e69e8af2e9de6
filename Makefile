# make demo      set up .venv, then render, train, adapt, test and draw the panel
# make test      the default test suite            make test-all  the slow tests too
# make lint      ruff and mypy                     make clean     delete caches and builds
#
# PYTHON=/path/to/python3.11   the interpreter that .venv is made from (3.10 or newer)
# EXTRAS=onedl,tests           what is installed beside the package
# PYTEST_ARGS="-k launch -x"   more arguments for pytest

SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
EXTRAS ?= onedl,tests
PYTEST_ARGS ?=
DEMO_ARGS ?=

IS_NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python3.10 python; do \
	if $$name -c '$(IS_NEW_ENOUGH)' >/dev/null 2>&1; then echo $$name; break; fi; done)
REQUIREMENTS := setup.cfg pyproject.toml $(wildcard requirements/*.txt)
# The one line of the extras that names torch: installed first, because it is the large download.
TORCH = $(shell grep -h '^torch[=<>]' requirements/onedl.txt)
LINTED := $(wildcard mmseg_ccdistill tools benchmarks)

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all lint clean

help:
	@sed -n '1,7s/^# \{0,1\}//p' Makefile

install: $(STAMP)

$(STAMP): $(REQUIREMENTS)
	@if ! "$(PYTHON)" -c '$(IS_NEW_ENOUGH)' >/dev/null 2>&1; then \
		echo "No Python 3.10 or newer with the venv module was found (PYTHON=$(PYTHON))." >&2; \
		echo "Install one (Debian, Ubuntu: apt install python3 python3-venv) or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi
	@if ! $(PY) -c '$(IS_NEW_ENOUGH)' >/dev/null 2>&1; then \
		echo "Making $(VENV) with $$("$(PYTHON)" --version)"; \
		"$(PYTHON)" -m venv --clear $(VENV); \
	fi
	@case ',$(EXTRAS),' in *,onedl,*) \
		echo 'Installing $(TORCH) (the large download of the set-up, needed once)'; \
		$(PY) -m pip install --disable-pip-version-check '$(TORCH)';; \
	esac
	@echo 'Installing mmseg-ccdistill[$(EXTRAS)]'
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(STAMP)
	@$(PY) -m benchmarks.demo $(DEMO_ARGS)

test: $(STAMP)
	@$(PY) -m pytest -m 'not slow' $(PYTEST_ARGS)

test-all: $(STAMP)
	@$(PY) -m pytest $(PYTEST_ARGS)

lint: $(STAMP)
	@$(PY) -m ruff check .
	@$(PY) -m mypy $(LINTED)

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
