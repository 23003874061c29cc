# The words of this project. Each does the setup it needs first, so any of them works on a fresh machine.
#
#   make setup     the environment for working on upbrush, in .venv
#   make fmt       mend layout and imports
#   make check     lint, layout, types
#   make test      the fast tests
#   make slow      the slow tests, and the GPU's where there is one
#   make bench     speed and memory against the rivals
#   make demo      restore and repaint a photograph; pictures in demo/
#   make library   make the built-in styles anew from a folder or tar of paintings
#   make train     train a generator: make train DATA=pictures/ [RECIPE=...] [OUT=...]
#   make clean     remove what these words made, but for .venv and trained runs

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet install -c constraints.txt

RECIPE ?= recipes/small.toml
OUT    ?= runs-out/latest
DEMO   ?= demo

# Pictures and loss features are never part of the repository. Where they lie beside the checkout, the tests that want
# them find them; anywhere else set the variables yourself, or those tests skip and say why.
ifneq ($(wildcard ../shared/data/.),)
export UPBRUSH_DATA ?= $(abspath ../shared/data)
endif
ifneq ($(wildcard ../shared/weights/vgg19-relu5_1.safetensors),)
export UPBRUSH_FEATURES ?= $(abspath ../shared/weights/vgg19-relu5_1.safetensors)
endif
ifneq ($(wildcard ../shared/weights/mobilefacenet.onnx),)
export UPBRUSH_FACES ?= $(abspath ../shared/weights)
endif
# Only the pictures to train on: the folder holds those to measure on, too.
DATA ?= $(wildcard $(UPBRUSH_DATA)/train-*.tar)

.PHONY: setup fmt check test slow bench demo library train clean
.DEFAULT_GOAL := help

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "upbrush needs Python 3.11 or newer, found " + sys.version.split()[0] + ": make PYTHON=/path/to/python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# Three environments in one place, each a superset: a newcomer's demo need not wait for torch.
$(VENV)/.light: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e ".[demo]"
	@touch $@

$(VENV)/.full: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e ".[train,measure,survey,serve,redis,video,batch,cluster,demo,dev]"
	@touch $@ $(VENV)/.light

# spandrel asks for torchvision, which the architectures measured here never touch: benchmarks/README.md.
$(VENV)/.bench: $(VENV)/.full
	$(PIP) -e ".[bench]"
	$(PIP) --no-deps spandrel
	@touch $@

setup: $(VENV)/.full

fmt: $(VENV)/.full
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: $(VENV)/.full
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# As many processes as cores, of one thread each: two networks that share cores wait for each other.
# Bytecode is kept even where the surroundings say not to: many tests start processes, and each of those would compile anew.
test: $(VENV)/.full
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist worksteal

slow: $(VENV)/.full
	$(BIN)/python -m pytest -m "slow or gpu" --timeout 3600

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/memory.py

demo: $(VENV)/.light
	$(BIN)/upbrush demo -o $(DEMO)

library: $(VENV)/.full
	$(BIN)/python runs/library.py

train: $(VENV)/.full
	@test -n "$(DATA)" || { echo "no pictures to train on: make train DATA=a-folder-or-tars" >&2; exit 2; }
	$(BIN)/upbrush train $(RECIPE) $(foreach item,$(DATA),--data $(item)) --out $(OUT)

clean:
	rm -rf build dist $(DEMO) benchmarks/results .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
