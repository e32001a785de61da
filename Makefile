# make demo   explain the embedded photos with the embedded model (needs Python 3.11 and pip, nothing else)
# make test   check the code and run all tests, those on Keras once for each of its backends
# make bench  measure against plain inference and the peers, and write benchmarks/RESULTS.md
# make docs   make the pictures and the generated pages of the docs anew

PYTHON ?= python3
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check bench docs clean

demo: .venv/.demo
	.venv/bin/seewhy demo --out seewhy-demo

test: .venv/.dev check
	.venv/bin/python -m pytest
	for backend in tensorflow jax torch; do \
		KERAS_BACKEND=$$backend .venv/bin/python -m pytest tests/on_keras || exit 1; \
	done

check: .venv/.dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: .venv/.bench .venv-peers/.bench
	.venv/bin/python benchmarks

docs: .venv/.dev
	.venv/bin/python docs/make.py

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "seewhy needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv

.venv/.demo: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e '.[demo]'
	touch $@

.venv/.dev: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e '.[all,dev]'
	touch $@ .venv/.demo

.venv/.bench: .venv/.dev
	$(PIP) -e '.[all,dev,bench]'
	touch $@

.venv-peers/.bench: benchmarks/peers-requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $< -e .
	touch $@

clean:
	rm -rf .venv .venv-peers seewhy-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
