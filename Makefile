# make demo, make check, make bench: each sets up what it needs inside this folder (.venv, target) and then does its work.
# What is up to date is left alone, so that the second time is quick.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo demo-nacl demo-chignolin check bench clean

# A fresh installation of Rust is not on the PATH of shells that were open before.
export PATH := $(PATH):$(HOME)/.cargo/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --quiet

# Arguments of the programs behind the targets, as in: make demo DEMO="--seconds 10"
DEMO ?=
CHECK ?=
BENCH_NEIGHBORS ?= --sides 10 22 46 --runs 3
BENCH_ENGINE ?= --quick
BENCH_LAMMPS ?= --quick
BENCH_DYNAMICS ?=
# 1: install PyTorch, to be timed beside the library.
BENCH_TORCH ?=

CORE := Cargo.toml Cargo.lock $(shell find src include -type f)
PACKAGE := $(shell find bindings/python -path '*/tests' -prune -o -path '*/_lib' -prune -o \
	-type f \( -name '*.py' -o -name '*.toml' -o -name '*.md' -o -name py.typed \) -print)

PLUGIN := $(shell find lammps -path lammps/build -prune -o -type f -print)

help:
	@echo 'make demo    about a minute each of a crystal of NaCl through ASE and of 64 replicas of a coarse-grained protein;'
	@echo '             trajectories and pictures in demo/ (make demo-nacl, make demo-chignolin: one of them)'
	@echo 'make check   every test and lint, with a summary at the end'
	@echo 'make bench   benchmarks, with other libraries beside this one; BENCH_TORCH=1 installs PyTorch for it'
	@echo 'make clean   remove what the above made: .venv, target, demo'

# One after the other, also with make -j: they would share the cores.
demo:
	@$(MAKE) --no-print-directory demo-nacl
	@$(MAKE) --no-print-directory demo-chignolin

demo-nacl: $(VENV)/demo.stamp $(VENV)/package.stamp
	@$(VENV)/bin/python examples/nacl/demo.py --out demo $(DEMO)

demo-chignolin: $(VENV)/demo.stamp $(VENV)/package.stamp
	@$(VENV)/bin/python examples/chignolin/demo.py --out demo/chignolin $(DEMO)

check: $(VENV)/check.stamp $(VENV)/demo.stamp $(VENV)/package.stamp $(VENV)/plugin.stamp
	@$(VENV)/bin/python tests/check.py $(CHECK)

bench: $(VENV)/bench.stamp $(VENV)/package.stamp $(VENV)/plugin.stamp $(if $(filter 1,$(BENCH_TORCH)),$(VENV)/torch.stamp)
	cargo bench --locked --bench neighbors
	$(VENV)/bin/python benches/neighbors_peers.py $(BENCH_NEIGHBORS)
	$(VENV)/bin/python benches/engine.py $(BENCH_ENGINE)
	$(VENV)/bin/python benches/lammps.py $(BENCH_LAMMPS)
	$(VENV)/bin/python benches/dynamics.py $(BENCH_DYNAMICS)

clean:
	rm -rf $(VENV) target demo

# Debian ships Python without what `venv` needs.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo 'Python 3.10 or later is needed: make PYTHON=/path/to/python3'; exit 1; }
	@echo 'setting up Python packages in $(VENV)'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		if [[ $$(id -u) == 0 ]] && command -v apt-get >/dev/null; then \
			apt-get -qq update && apt-get -qq install -y python3-venv && $(PYTHON) -m venv $(VENV); \
		else echo 'Python lacks venv: install it with your package manager (python3-venv)'; exit 1; fi; }

$(VENV)/demo.stamp: examples/nacl/requirements-demo.txt examples/chignolin/requirements-demo.txt | $(VENV)/bin/python
	@$(PIP) install $(addprefix -r ,$^)
	@touch $@

$(VENV)/check.stamp: tests/requirements.txt tests/requirements-cuda.txt bindings/python/pyproject.toml | $(VENV)/bin/python
	@$(PIP) install -r $<
	@$(PIP) install -r tests/requirements-cuda.txt || echo 'no NVRTC: what needs it is skipped'
	@touch $@

$(VENV)/bench.stamp: benches/requirements.txt | $(VENV)/bin/python
	@$(PIP) install -r $<
	@touch $@

$(VENV)/torch.stamp: benches/requirements-torch.txt | $(VENV)/bin/python
	@$(PIP) install -r $< --extra-index-url https://download.pytorch.org/whl/cpu
	@touch $@

# Built here first, since pip shows nothing of the minute it takes.
$(VENV)/package.stamp: $(CORE) $(PACKAGE) | $(VENV)/bin/python
	@command -v cargo >/dev/null || { echo 'Rust 1.88 or later is needed, but cargo was not found'; exit 1; }
	@echo 'building the core and the Python package'
	cargo build --release --locked --lib
	@$(PIP) install ./bindings/python
	@touch $@

# LAMMPS is there by the tests' requirements.
$(VENV)/plugin.stamp: $(PLUGIN) $(VENV)/package.stamp $(VENV)/check.stamp
	@if command -v c++ >/dev/null; then echo 'building the LAMMPS plugin' && $(PIP) install ./lammps; \
		else echo 'no C++ compiler: the LAMMPS plugin is not built'; fi
	@touch $@
