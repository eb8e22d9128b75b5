# make figures   installs what is needed into .venv and rebuilds every figure
# make test      linters and tests
# make bench     the compiled core against torch and jax
# CONFIG=config/ci.yaml selects a configuration, DIR=build/ci a working directory for its results.
CONFIG ?= config.yaml
DIR ?= .
CORES ?= all
PYTHON ?= python3
VENV ?= .venv
BIN = $(abspath $(VENV))/bin
SNAKEMAKE = $(BIN)/snakemake --cores $(CORES) --directory "$(DIR)" --configfile "$(abspath $(CONFIG))"

.PHONY: env figures test report bench publish clean
.DEFAULT_GOAL = figures

env: $(VENV)/installed

$(VENV)/installed: envs/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement envs/requirements.txt
	touch $@

figures: env
	@mkdir -p "$(DIR)"
	$(SNAKEMAKE)

report: env
	$(SNAKEMAKE) --report results/report.html

test: env
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint
	$(BIN)/python -m pytest

bench: env
	$(BIN)/pip install --quiet --requirement envs/bench.txt
	$(SNAKEMAKE) results/core/libwinnow.so
	cd "$(DIR)" && $(BIN)/python "$(CURDIR)/workflow" bench --core results/core/libwinnow.so --out results/bench

publish: figures
	mkdir -p docs/figures
	cp "$(DIR)"/results/figures/*.svg docs/figures/
	cp "$(DIR)"/results/claims.md docs/

clean:
	rm -rf "$(DIR)/results/"*/ "$(DIR)/.snakemake"
