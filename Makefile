# Everything a fresh clone needs: Python 3.11+, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_SECONDS ?= 20
FUZZ_SECONDS ?= 600
FUZZ_SEED ?= 1

# The tests of layers 0-2, which hold for each twin; the store's suite is run by its own test.  Those
# that choose the twin themselves run once, and those in which it counts least are in the long part.
TWINS := tests/accelerator $(addprefix tests/test_, antithesis.py derived.py disk.py invariant.py \
	lifecycle.py primitives.py random.py comparisons.py form_table.py) $(addprefix tests/recording/test_, \
	exact_counts.py hostile_values.py interrupts.py limits.py lock.py processes.py trials.py)
FLOORS := $(TWINS) tests/recording tests/invariants tests/test_base_install.py tests/test_testing.py \
	--ignore=tests/recording/test_stepping.py

# The two forms of the tests; together they are all.
SHORT := -m "not long"
LONG := -m long

# More than there are cores: many tests wait for children, servers and signals.
WORKERS := -n $(shell expr $$(nproc) \* 2)

# A run that records both forms, by `assertlib run`.  Only the tests of assertlib itself record into
# it: those of the store have a run of their own, the others record nothing.
SDK_RUN := $(ASSERTLIB_RUN_DIR)
unexport ASSERTLIB_RUN_DIR ASSERTLIB_ROOT ASSERTLIB_COMMIT
SDK_TESTS = $(if $(SDK_RUN),ASSERTLIB_RUN_DIR=$(SDK_RUN)) $(BIN)/python -m pytest $(WORKERS) \
	-o testpaths=tests --assertlib --assertlib-target sdk

# What was skipped, and why; the tests write it.
SKIPPED := .pytest_cache/skipped.txt

# Out of Debian's package, whose service nobody wants to run.
TOOLS := .tools
GET_PROMTOOL = mkdir -p $(TOOLS) && cd $(TOOLS) && apt-get download -qq prometheus >/dev/null 2>&1 \
	&& dpkg -x prometheus_*.deb unpacked && cp unpacked/usr/bin/promtool . \
	&& rm -r unpacked prometheus_*.deb || echo "services: no promtool"

SANITIZED := .sanitized
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined
# Python is not sanitized itself, so the libraries come before it; what it leaks is its own.
SANITIZED_ENVIRONMENT = env PYTHONPATH=$(CURDIR)/$(SANITIZED) PYTHONMALLOC=malloc \
	ASAN_OPTIONS=detect_leaks=0 \
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)"

CHECKS := $(addprefix check-, style types example layers catalog docs)

.PHONY: help install services demo test test-long ci check $(CHECKS) sanitize format bench campaigns kills mutations \
	simulations stepping programs stubs docs clean

help: ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed ## the virtual environment, with all that development needs

$(VENV)/.installed: pyproject.toml assertlib/_speed.c
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[tools,etcd,fuse,import,mcp,otel,polyglot,postgres,ray]' --group dev
	touch $@

# What is not on the package index; without it some tests skip, and say so.
services: ## Debian's etcd, Chromium, FUSE, PostgreSQL, iptables, promtool, for tests, if root may install them
	@if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "services: not root, or no apt-get: nothing is installed"; \
	elif command -v etcd >/dev/null && command -v chromium >/dev/null \
		&& command -v iptables >/dev/null && command -v fusermount3 >/dev/null \
		&& { command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }; then \
		echo "services: all there"; \
	else \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			--no-install-recommends etcd-server chromium fuse3 iptables postgresql util-linux >/dev/null; \
	fi
	@if [ ! -x $(TOOLS)/promtool ] && command -v apt-get dpkg >/dev/null; then $(GET_PROMTOOL); fi

demo: ## the example store under kill -9 and simulated, then a real etcd; two minutes
	@mkdir -p .assertlib
	@echo "Installing; the output of pip is in .assertlib/install.log."
	@$(MAKE) --no-print-directory install > .assertlib/install.log 2>&1 \
		|| { tail -n 20 .assertlib/install.log; exit 1; }
	@$(BIN)/python examples/demo.py --seconds $(DEMO_SECONDS)

test: install programs check ## all checks and the short form of all tests, with both twins; six minutes
	@rm -f $(SKIPPED)
	@# Children of tests write no bytecode, and would compile the package each time.
	@$(BIN)/python -m compileall -q assertlib examples/kvstore/kvstore
	$(SDK_TESTS) $(SHORT)
	ASSERTLIB_PURE=1 $(BIN)/python -m pytest $(WORKERS) $(SHORT) $(TWINS)
	$(BIN)/python -m pytest $(WORKERS) -o testpaths=examples/kvstore/tests \
		--assertlib --assertlib-target kvstore
	@if [ -s $(SKIPPED) ]; then echo "skipped:"; sort -u $(SKIPPED); fi

test-long: install programs ## the long form of the tests, and those that have no short one; 20 minutes
	@$(BIN)/python -m compileall -q assertlib examples/kvstore/kvstore
	$(SDK_TESTS) $(LONG)
	ASSERTLIB_PURE=1 $(BIN)/python -m pytest $(WORKERS) $(LONG) $(FLOORS)
	ASSERTLIB_PURE=1 $(BIN)/python -m pytest $(WORKERS) $(SHORT) $(filter-out $(TWINS),$(FLOORS)) \
		$(addprefix --ignore=,$(filter tests/recording/%,$(TWINS)))
	$(MAKE) sanitize FUZZ_SECONDS=5 FORM='$(SHORT)'
	$(MAKE) sanitize FUZZ_SECONDS=60 FORM='$(LONG)'

ci: CI_RUN := $(CURDIR)/.assertlib/runs/$(shell date -u +%Y%m%d-%H%M%S)-ci
ci: install ## both forms, recorded as one full run, which the gate judges
	ASSERTLIB_RUN_DIR=$(CI_RUN) $(BIN)/assertlib run --full --target sdk -- make test test-long
	$(BIN)/assertlib gate --target sdk $(CI_RUN)

check: install ## style, types, layers, and the catalog against the code
	@$(MAKE) --no-print-directory --jobs=2 --output-sync $(CHECKS)

check-style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-types:
	$(BIN)/mypy

# After the other: they share a cache.
check-example: check-types
	$(BIN)/mypy --explicit-package-bases examples/kvstore/kvstore

check-layers:
	$(BIN)/lint-imports

check-catalog:
	$(BIN)/assertlib check --strict

check-docs:
	$(BIN)/assertlib docs --check

programs: $(TOOLS)/programs/.installed ## programs of the package index, which tests simulate as they are

# Apart from the environment, whose tests must not see the plugins that come with them.
$(TOOLS)/programs/.installed: tests/sim/real_programs.txt
	$(PYTHON) -m venv $(TOOLS)/programs
	$(TOOLS)/programs/bin/python -m pip install --quiet -r tests/sim/real_programs.txt
	touch $@

stubs: $(TOOLS)/grpc/.installed ## the stubs of etcd's gRPC API, from its protocol files
	$(TOOLS)/grpc/bin/python protocol/generate.py

# Apart from the environment, whose protobuf is newer than the one that the stubs need at least.
$(TOOLS)/grpc/.installed: protocol/requirements.txt
	$(PYTHON) -m venv $(TOOLS)/grpc
	$(TOOLS)/grpc/bin/python -m pip install --quiet -r protocol/requirements.txt
	touch $@

sanitize: install ## the accelerator under AddressSanitizer and UBSan, fuzzed for ten minutes
	rm -rf $(SANITIZED)
	mkdir -p $(SANITIZED)
	cp -r assertlib $(SANITIZED)
	rm -f $(SANITIZED)/assertlib/_speed*.so
	$(CC) $(SANITIZERS) -g -O1 -Wall -Wextra -Wno-unused-parameter \
		-Wno-missing-field-initializers -Wno-cast-function-type -Werror -shared -fPIC \
		$$($(BIN)/python -c 'import sysconfig; print("-I" + sysconfig.get_path("include"))') \
		assertlib/_speed.c -o $(SANITIZED)/assertlib/_speed.so
	$(SANITIZED_ENVIRONMENT) $(BIN)/python -P -c \
		'import assertlib._speed as it; print(it.__file__); assert "$(SANITIZED)" in it.__file__'
	$(SANITIZED_ENVIRONMENT) FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/pytest $(WORKERS) --dist worksteal $(FORM) \
		tests/accelerator tests/test_primitives.py tests/test_comparisons.py tests/test_invariant.py

format: install ## let ruff mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install ## what assertions, telemetry, histories, simulation and scanning cost, against peers
	$(BIN)/python benchmarks/primitives.py
	$(BIN)/python benchmarks/telemetry.py
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/linearizability.py
	$(BIN)/python benchmarks/sim.py
	$(BIN)/python benchmarks/scan.py
	$(BIN)/python benchmarks/evidence.py
	$(BIN)/python benchmarks/gate.py --histories 500

campaigns: install services ## what campaigns find in real etcd servers; about ten minutes
	$(BIN)/python benchmarks/real_etcd.py

stepping: install ## something hostile at each line of the recorder, both twins: some thirty minutes
	$(BIN)/python -m tests.recording.stepping
	ASSERTLIB_PURE=1 $(BIN)/python -m tests.recording.stepping

kills: install ## the long form of the tests of kill -9: 1,000 kills, some 15 minutes
	$(BIN)/python tests/never_green/kills.py --kills 1000

mutations: install ## the long form of the fuzzing of readers: 100,000 mutations, about an hour
	$(BIN)/python -m tests.fuzz.mutations --seed $(FUZZ_SEED) --count 100000

simulations: install ## the long form of the simulation's tests; several hours
	$(BIN)/python benchmarks/sim_campaigns.py determinism --seeds 10000
	$(BIN)/python benchmarks/sim_campaigns.py survival --seeds 20000 --plot docs/states-seen.svg
	$(BIN)/assertlib sim challenge --jobs 2 --output docs/track-record.md

docs: install ## the pages of the invariants, and the site with all documentation
	$(BIN)/assertlib docs
	$(BIN)/python docs/_site/build.py build/site

clean: ## remove what is built
	rm -rf $(VENV) .assertlib $(SANITIZED) $(TOOLS) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
