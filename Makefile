# Two commands: `make demo` and `make test`. Both set up what they need, once.
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready

PYTHONS := src scripts tests docs/*.py docs/examples

.PHONY: demo test test-full test-gpu docs faults bench bench-page lint lock setup clean help

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## set up, train on the built-in phantoms, print the table and where the report is
	$(PYTHON) scripts/train.py experiment=demo

# two processes of one thread each; with more threads they would wait for each other
test: $(READY) lint ## set up, check style and types, run every test
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 --dist worksteal -m "not full and not gpu"

test-full: $(READY) lint ## the same, and what takes minutes: all of the documentation, published numbers trained again
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 --dist worksteal

docs: $(READY) ## the site, into build/docs/html; warnings are errors
	$(PYTHON) -m docs.build build/docs

test-gpu: $(READY) ## what needs a GPU (CUDA, or mps of macOS); skipped with the reason where there is none
	$(PYTHON) -m pytest -m gpu tests

faults: $(READY) ## kills, damaged files, bad inputs, hostile cases; FAULTS="inputs hostile" for parts, "kills 2 5" for 2 set-ups of 5 kills
	OMP_NUM_THREADS=1 $(PYTHON) -m tests.faults.run $(FAULTS)

bench: $(READY) ## speed and memory as ratios against peers, into results/bench; BENCH="losses sweep" for some
	$(PYTHON) -m tests.benchmarks.run $(BENCH)

bench-page: $(READY) ## docs/benchmarks.md and its charts from results/bench
	$(PYTHON) -m tests.benchmarks.page

lint: $(READY) ## style and types
	$(VENV)/bin/ruff check $(PYTHONS)
	$(VENV)/bin/ruff format --check $(PYTHONS)
	$(VENV)/bin/mypy

setup: $(READY) ## the environment alone

# uv checks every hash and compiles bytecode, without which each start of Python takes twice as long; its own line of
# the lock is what pip installs it from.
$(READY): requirements.lock pyproject.toml
	test -x $(PYTHON) || python3 -m venv $(VENV)
	awk '/^uv==/ { found = 1 } found { print } found && !/\\$$/ { exit }' requirements.lock > $(VENV)/uv.txt
	$(VENV)/bin/uv --version >/dev/null 2>&1 || $(PYTHON) -m pip install --quiet --require-hashes -r $(VENV)/uv.txt
	VIRTUAL_ENV=$(VENV) UV_COMPILE_BYTECODE=1 $(VENV)/bin/uv pip sync --quiet --require-hashes requirements.lock
	VIRTUAL_ENV=$(VENV) UV_COMPILE_BYTECODE=1 $(VENV)/bin/uv pip install --quiet --no-deps --no-build-isolation -e .
	touch $(READY)

lock: ## resolve the dependencies anew into requirements.lock, which names no index
	$(VENV)/bin/uv pip compile pyproject.toml --universal --all-extras --generate-hashes --quiet --upgrade \
		--custom-compile-command "make lock" --output-file requirements.lock

clean: ## remove what was made, but no runs
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
