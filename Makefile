# make figures   installs what is needed into .venv and rebuilds every figure
# make test      linters and tests, on all cores
# make test-slurm  the workflow on a real Slurm of two nodes on this machine (needs root)
# make test-distro  the small run and the tests of bits on Debian 13, with this Python (needs root)
# make growth    what planning, collecting and finding nothing to do cost at 10,000 runs
# make bench     the compiled core against torch and jax
# make wheel     the masked layers for networks of one's own: a wheel in build/wheel
# make audit     checks every result against its record, and derives five of them again
# make golden    compares a run with what was published of its configuration; CI does so with config/ci.yaml
# make report    one page with all figures, results/report.html
# make publish   copies figures with their numbers, claims, scorecard and tables to docs/, those of config/<name>.yaml to docs/<name>/
# make clean     removes results; make env only installs
# CONFIG=config/ci.yaml selects a configuration, DIR=build/ci a working directory for its results. They are given on the
# command line: a DIR that a shell exports for something else must not reach `make clean`.
CONFIG = config.yaml
DIR = .
CORES = all
PYTHON = python3
VENV = .venv
$(foreach name,CONFIG DIR CORES PYTHON VENV,$(if $(strip $($(name))),,$(error $(name) is empty; it must have a value)))

# A space or a quote in a path is a character like any other.
quoted = '$(subst ','\'',$(1))'
# Tools are called as modules: the scripts beside them name the folder that the environment was made in.
RUN = $(call quoted,$(VENV)/bin/python)
SNAKEMAKE = $(RUN) -m snakemake --cores $(call quoted,$(CORES)) --configfile $(call quoted,$(CONFIG)) \
	--directory $(call quoted,$(DIR))
# Into the working directory, with paths that hold there.
INSIDE = checkout="$$PWD" python="$$(realpath -ms $(RUN))" config="$$(realpath -ms $(call quoted,$(CONFIG)))" \
	&& cd $(call quoted,$(DIR)) &&

.PHONY: env figures test test-slurm test-distro growth audit golden report bench wheel publish clean
.DEFAULT_GOAL = figures

env:
	@[ $(call quoted,$(VENV)/installed) -nt envs/requirements.txt ] || { set -ex; \
		$(call quoted,$(PYTHON)) -m venv $(call quoted,$(VENV)); \
		$(RUN) -m pip install --quiet --requirement envs/requirements.txt; \
		touch $(call quoted,$(VENV)/installed); }

figures: env
	@mkdir -p $(call quoted,$(DIR))
	$(SNAKEMAKE)

audit: env
	$(INSIDE) "$$python" "$$checkout/workflow" audit verify --config "$$config"
	$(INSIDE) "$$python" "$$checkout/workflow" audit sample 5

golden: env
	$(INSIDE) "$$python" "$$checkout/workflow" audit golden --config "$$config"

report: env
	$(SNAKEMAKE) --report results/report.html

# Tests that call make are not part of this make.
test: env
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m snakefmt --check Snakefile workflow/rules
	$(RUN) -m snakemake --lint
	env --unset=MAKEFLAGS $(RUN) -m pytest --numprocesses=auto --dist=loadscope --no-loadscope-reorder

test-slurm: env
	$(RUN) -m pip install --quiet --requirement envs/slurm.txt
	$(RUN) -m pytest -s tests/slurm

test-distro: env
	$(RUN) -m pytest -s tests/distro

growth: env
	PYTHONPATH=workflow $(RUN) tests/bench/growth.py

bench: env
	$(RUN) -m pip install --quiet --requirement envs/bench.txt
	$(SNAKEMAKE) results/core/libwinnow.so
	$(INSIDE) PYTHONPATH="$$checkout/workflow" "$$python" "$$checkout/tests/bench/core.py" --core results/core/libwinnow.so --out results/bench

# Without an environment for the build alone: it would download another torch.
wheel: env
	rm -rf build/wheel
	$(RUN) -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir build/wheel .

publish: figures
	$(INSIDE) "$$python" "$$checkout/workflow" audit publish --config "$$config"

clean:
	rm -rf $(call quoted,$(DIR))/results/*/ $(call quoted,$(DIR)/.snakemake)
	rm -f $(foreach name,claims.json claims.md scorecard.json scorecard.md report.html,$(call quoted,$(DIR)/results/$(name)))
