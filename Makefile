# make figures   installs what is needed into .venv and rebuilds every figure
# make test      linters and tests
# make test-slurm  the workflow on a real Slurm of two nodes on this machine (needs root)
# make growth    what planning, collecting and finding nothing to do cost at 10,000 runs
# make bench     the compiled core against torch and jax
# make audit     checks every result against its record, and derives five of them again
# make golden    compares a run of config/ci.yaml with the values in git; within the tolerance of another machine is fine
# CONFIG=config/ci.yaml selects a configuration, DIR=build/ci a working directory for its results.
CONFIG ?= config.yaml
DIR ?= .
CORES ?= all
PYTHON ?= python3
VENV ?= .venv
BIN = $(abspath $(VENV))/bin
SNAKEMAKE = $(BIN)/snakemake --cores $(CORES) --configfile "$(abspath $(CONFIG))" --directory "$(DIR)"

.PHONY: env figures test test-slurm growth audit golden report bench publish clean
.DEFAULT_GOAL = figures

env: $(VENV)/installed

$(VENV)/installed: envs/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement envs/requirements.txt
	touch $@

figures: env
	@mkdir -p "$(DIR)"
	$(SNAKEMAKE)

audit: env
	cd "$(DIR)" && $(BIN)/python "$(CURDIR)/workflow" audit verify --config "$(abspath $(CONFIG))"
	cd "$(DIR)" && $(BIN)/python "$(CURDIR)/workflow" audit sample 5

golden: env
	cd "$(DIR)" && { $(BIN)/python "$(CURDIR)/workflow" audit golden || [ $$? -eq 3 ]; }

report: env
	$(SNAKEMAKE) --report results/report.html

test: env
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint
	$(BIN)/python -m pytest

test-slurm: env
	$(BIN)/pip install --quiet --requirement envs/slurm.txt
	$(BIN)/python -m pytest -s tests/slurm

growth: env
	PYTHONPATH=workflow $(BIN)/python tests/bench/growth.py

bench: env
	$(BIN)/pip install --quiet --requirement envs/bench.txt
	$(SNAKEMAKE) results/core/libwinnow.so
	cd "$(DIR)" && PYTHONPATH="$(CURDIR)/workflow" $(BIN)/python "$(CURDIR)/tests/bench/core.py" --core results/core/libwinnow.so --out results/bench

publish: figures
	mkdir -p docs/figures
	cp "$(DIR)"/results/figures/*.svg docs/figures/
	cd "$(DIR)/results" && cp $$(ls | grep -E '^(claims|scorecard)\.') "$(CURDIR)/docs/"

clean:
	rm -rf "$(DIR)/results/"*/ "$(DIR)/.snakemake"
