# Short targets that a person runs and CI runs. Each does its own set-up.
PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1

.PHONY: demo install test test-slow check docs bench-detection bench-verdict clean

install: .venv/.installed

demo: .venv/.installed
	unset OMP_NUM_THREADS; $(BIN)/python recipes/drug_reviews/run.py

test: .venv/.dev
	$(BIN)/python -m pytest -m "not slow"

test-slow: .venv/.dev
	$(BIN)/python -m pytest -m slow

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench-detection: .venv/.dev
	$(BIN)/python benchmarks/detection/run.py

bench-verdict: .venv/.dev
	$(BIN)/python benchmarks/verdict/run.py

clean:
	rm -rf .venv runs

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) tools/install.py
	touch $@

.venv/.dev: pyproject.toml constraints.txt
	$(PYTHON) tools/install.py --dev
	touch .venv/.installed $@
