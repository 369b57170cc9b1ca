SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# What is not given is decided by CONFIG, or else by edgec. The recipes read these from the environment, so that
# no character of a path means anything to the shell.
TARGET ?=
MODEL ?=
DATA ?=
CONFIG ?=
CHECKPOINT ?=
ARGS ?=
DEVICE ?=
VIDEO ?=
MATRIX ?= matrix.toml
SECONDS ?= 60
export TARGET MODEL DATA CONFIG CHECKPOINT DEVICE VIDEO MATRIX

READY := .venv/ready
EDGEC := .venv/bin/edgec
OPTIONS = $${TARGET:+--target "$$TARGET"} $${MODEL:+--model "$$MODEL"} $${DATA:+--data "$$DATA"} \
    $${CONFIG:+--config "$$CONFIG"} $${CHECKPOINT:+--checkpoint "$$CHECKPOINT"} $${DEVICE:+--device "$$DEVICE"} $(ARGS)
TESTS := scripts/test_packages.sh && scripts/tensorrt_wheels.sh && \
    .venv/bin/python -m pytest -n auto --dist worksteal

.PHONY: help setup build matrix demo check test test-slow lint types fuzz degradation clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: ## create .venv and install the pinned dependencies (done by the others when needed): TORCH=cpu|cuda PYTHON=
	@scripts/setup.sh

build: $(READY) ## build, validate and bundle: TARGET= MODEL= DATA= CONFIG= CHECKPOINT= DEVICE= (ARGS= for more options)
	@$(EDGEC) build $(OPTIONS)

matrix: $(READY) ## build models x recipes x targets x devices, all on one page: MATRIX= (matrix.toml), ARGS=
	@$(EDGEC) matrix "$$MATRIX" $(ARGS)

demo: $(READY) ## classify a camera, or VIDEO= (a file, folder or rtsp://...), and show it on a page: MODEL= DATA= ...
	@$(EDGEC) demo $${VIDEO:+--source "$$VIDEO"} $(OPTIONS)

check: $(READY) ## compare a build with its committed baseline; fails unless it passes (ARGS="--old FILE")
	@$(EDGEC) baseline compare $(OPTIONS)

test: $(READY) ## run all tests but the slow ones (ARGS="-k name" for a part)
	@$(TESTS) -m "not slow" $(ARGS)

test-slow: $(READY) ## run the slow tests (ARGS as above)
	@$(TESTS) -m slow $(ARGS)

lint: $(READY) ## check style with ruff
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .

types: $(READY) ## check types with mypy --strict
	@.venv/bin/mypy

fuzz: $(READY) ## look for files that break what reads them: SECONDS= for each reader (60)
	@SECONDS_EACH="$(SECONDS)" scripts/fuzz.sh

degradation: $(READY) ## train plain and residual networks of 20 and 56 layers: who gets worse with depth? (DATA=, ARGS=)
	@.venv/bin/python -m benchmarks.degradation $${DATA:+--data "$$DATA"} $(ARGS)

clean: ## remove build output and caches; .venv stays
	rm -rf out .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt scripts/setup.sh
	@scripts/setup.sh
