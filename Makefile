# Two commands matter: `make run` and `make test`. Each does all of its own set-up; where nothing changed that is a look at
# time stamps. Plain venv and pip; another interpreter: make run PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# All tests, those that take long first, so that at the end no process waits for another.
PYTEST_ARGS ?= tests/browser tests/experiments tests/engine tests
# There while the environment is being changed. Left behind by something that was killed, it says: do not trust what is there.
UNFINISHED := $(VENV)/.unfinished

.DELETE_ON_ERROR:
.PHONY: help run test faults prepared lint bench audit clean FORCE

help:
	@echo "make run    start the lab: http://127.0.0.1:8501 (HOST and PORT move it)"
	@echo "make test   run the linters and all tests"
	@echo "make faults cause every fault case of tests/faults/cases.py, also those that take minutes"
	@echo "make lint   run the linters alone"
	@echo "make bench  compare our measurements with bare loops; takes minutes, wants an idle machine"
	@echo "make audit  ask for known vulnerabilities of all pinned packages; needs pypi.org"
	@echo "make clean  remove the environment and all caches; data/ stays"

run: $(VENV)/.runtime-stamp
	@for name in onnx hqq; do $(BIN)/python -m engine.environments $$name || \
		echo "going on without the $$name environment; try again: $(BIN)/python -m engine.environments $$name" >&2; done
	@exec $(BIN)/python -m engine.launch

test: $(VENV)/.dev-stamp
	@$(MAKE) --no-print-directory --jobs 2 --output-sync lint prepared
	@browser=$$(sh tests/find_browser.sh) && LAB_BROWSER="$$browser" $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# One process after the other: what these tests limit is how long a fault lasts.
faults: prepared
	@$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-ray.txt
	@browser=$$(sh tests/find_browser.sh) && LAB_BROWSER="$$browser" $(BIN)/python -m pytest -p tests.faults.report -m "case or faults" tests

# What the tests need beside the environment: fetched and made while the linters run.
prepared: $(VENV)/.dev-stamp
	@$(BIN)/python -m engine.bundled
	@$(BIN)/python -m engine.environments onnx
	@$(BIN)/python -m engine.environments hqq

lint: $(VENV)/.dev-stamp
	@$(BIN)/ruff check .
	@$(BIN)/mypy engine db dashboard
	@$(BIN)/lint-imports --no-logo

bench: $(VENV)/.dev-stamp
	@$(BIN)/python -m engine.bundled
	@set -e; for script in tests/benchmarks/bench_*.py; do \
		name=$$(basename $$script .py); echo "== $$name"; $(BIN)/python -m tests.benchmarks.$$name; done

# In an environment of its own: what it needs is none of what the product runs on. --strict: what could not be asked for is an error.
audit:
	@test -x .venv-audit/bin/pip-audit || { $(PYTHON) -m venv .venv-audit && \
		.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1; }
	@status=0; for file in requirements*.txt; do echo "== $$file"; \
		.venv-audit/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r $$file || status=1; done; exit $$status

clean:
	rm -rf $(VENV) .venv-* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find db engine experiments dashboard tests -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment ---

$(VENV)/.runtime-stamp: requirements.txt $(BIN)/python $(if $(wildcard $(UNFINISHED)),FORCE)
	$(call install,requirements.txt)

$(VENV)/.dev-stamp: requirements-dev.txt $(VENV)/.runtime-stamp
	$(call install,requirements-dev.txt)

$(BIN)/python:
	@$(new_venv)

define install
@if [ -e $(UNFINISHED) ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then $(new_venv); fi
@touch $(UNFINISHED)
$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -r $(1)
@rm $(UNFINISHED)
@touch $@
endef

define new_venv
set -e; \
command -v $(PYTHON) >/dev/null || { echo "error: there is no $(PYTHON); install Python 3.11 or newer, or name it: make PYTHON=..." >&2; exit 1; }; \
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "error: $$($(PYTHON) --version) is too old; 3.11 or newer is needed. Name another: make PYTHON=python3.12" >&2; exit 1; }; \
$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	echo "error: $(PYTHON) cannot make environments (no ensurepip). On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
echo "making $(VENV)" >&2; rm -rf $(VENV); mkdir $(VENV); touch $(UNFINISHED); $(PYTHON) -m venv $(VENV)
endef
