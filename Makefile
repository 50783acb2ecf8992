# What `make` does here; build/make/Makefile knows the packages.
#
#   make                the tool, the target environment, and every standard package of build/pkgs
#   make foo foo-clean  what build/make/Makefile says: one package, and so on (make list)
#   make check          everything that is checked before a merge
#   make coverage       the tests, measuring the processes that they start, too
#   make torture        kills, faults and races at every point; hours, not minutes
#   make race           copying against installing, many writers at once: failures side by side
#   make bench          this tool, pip, uv and others: figures for docs/explanation/performance.md
#   make docs           the manual, in dist/docs
#   make timings        where the time of the last build went, in logs/pkgs/timings.html
#   make man            manual pages and completions anew, in data/, as wheels bring them
#   make dist           dist/sage-pkginstall.pyz, the tool in one file; build/bin runs it
#   make clean          removes what building left; installed packages stay
#   make distclean      removes all that was made here; upstream/ stays
#
# On disk: .tool/venv has the programs that install, .tool/check those that check. They are
# not in local/, because that is the product: it may be deleted, copied, or upgraded from
# pip to Python itself by the very programs that do so.

MAKEFLAGS += --no-print-directory
.SUFFIXES: # and not -r in MAKEFLAGS, which would reach the makefiles of packages
.DELETE_ON_ERROR:

ifneq ($(word 2,$(CURDIR)),)
$(error cannot build in "$(CURDIR)": make cannot handle paths with blanks)
endif
hash := \#
characters := $$ $(hash) : ; = | * ? ' " ` \ & < > ( )
places := $(strip $(value CURDIR) $(SAGE_LOCAL) $(SAGE_VENV))
unfit := $(strip $(foreach character,$(characters),$(findstring $(character),$(value places))))
ifneq ($(unfit),)
$(error cannot build in "$(value places)": make cannot handle paths with $(unfit))
endif

PYTHON ?= python3
PYTEST_ARGS ?= -n 3 --dist worksteal

export PYTHON
export SAGE_ROOT := $(CURDIR)

checks := check-format check-lint check-types check-layers check-shell check-docs check-tests
own := check check-deps $(checks) coverage docs timings man dist torture race bench clean distclean help

.PHONY: FORCE $(own)

# ------------------------------------------------------------------------------- packages
# All goals that are neither our own nor an environment's go to one run of build/make/Makefile,
# however many they are, so that -j plans them together. `+` and $(MAKE) pass -j, -k, -n, -q
# and -t down.

packages := $(filter-out $(own) .tool/%,$(or $(MAKECMDGOALS),all))

ifneq ($(packages),)
.PHONY: $(packages) .packages
.DEFAULT_GOAL := all
$(packages): .packages
# (Under -n the tool may not be there, and only it knows the packages.)
.packages: .tool/venv/ready
	+@[ -e .tool/venv/ready ] || exec echo "and then, with the tool:" $(packages); \
	[ ! -t 1 ] || set -- build/bin/sage-pkginstall watch; "$$@" $(MAKE) -f build/make/Makefile $(packages)
endif

# --------------------------------------------------------------------------- environments
# Each is made anew when pyproject.toml changes, the checkout moved, or its Python vanished or became
# another one, as by an upgrade of the system.

at_home = $(findstring |$(CURDIR) $(realpath $(1)/bin/python)|,|$(shell cat $(1)/ready 2>/dev/null)|)
prerequisites = pyproject.toml build/setup/environment $(if $(call at_home,$(1)),,FORCE)

.tool/venv/ready: $(call prerequisites,.tool/venv)
	@echo "Setting up the tool in .tool/venv"
	@build/setup/environment .tool/venv --if-wheel 'zlib-ng >=1.0' --editable '.[build,remote,rich]'

.tool/check/ready: $(call prerequisites,.tool/check)
	@echo "Setting up what checks need in .tool/check"
	@build/setup/environment .tool/check --editable '.[build,remote,rich]' --group dev

.tool/bench/ready: $(call prerequisites,.tool/bench)
	@echo "Setting up what benchmarks need in .tool/bench"
	@build/setup/environment .tool/bench --group bench

# --------------------------------------------------------------------------------- checks

script_head := ^($(hash)! ?(/usr/bin/env |/bin/)(ba)?sh|$(hash) shellcheck shell=)
scripts = $(shell grep -lEr '$(script_head)' $(wildcard .ci build/bin build/make build/setup) benchmarks tests)
in_check := PATH="$(CURDIR)/.tool/check/bin:$$PATH"

check: $(checks)
	@echo "All checks passed"

$(checks) docs man: .tool/check/ready

check-format:
	$(in_check) ruff format --check --quiet

check-lint:
	$(in_check) ruff check --quiet

check-types:
	$(in_check) mypy --no-error-summary

check-layers:
	$(in_check) lint-imports --no-logo

check-shell:
	$(in_check) shellcheck --external-sources $(scripts)

check-docs: docs

# What builds the manual needs a newer Python than the tool does.
docs:
	@if .tool/check/bin/python -c 'import sys; sys.exit(sys.version_info >= (3, 11))'; then \
	    echo "The manual is not built: that needs Python 3.11 or newer"; \
	else \
	    $(in_check) sphinx-build --quiet --fail-on-warning --keep-going -b html docs dist/docs; \
	fi

share := data/share
completions := $(share)/bash-completion/completions/sage-pkginstall \
    $(share)/zsh/site-functions/_sage-pkginstall \
    $(share)/fish/vendor_completions.d/sage-pkginstall.fish

man:
	$(in_check) sage-pkginstall manual --all $(share)/man/man1
	@mkdir -p $(dir $(completions))
	$(in_check) sage-pkginstall completion bash >$(word 1,$(completions))
	$(in_check) sage-pkginstall completion zsh >$(word 2,$(completions))
	$(in_check) sage-pkginstall completion fish >$(word 3,$(completions))

# Debian has nginx and mkfs where its users do not look.
check-deps:
	@PATH="$$PATH:/usr/local/sbin:/usr/sbin:/sbin" tests/setup-debian

tests := pytest -m "not torture" --cov --cov-report=term:skip-covered

check-tests: check-deps
	$(in_check) $(tests) $(PYTEST_ARGS)

# The same, and what runs in the processes that tests start without build/bin: twice the time.
coverage: .tool/check/ready check-deps
	$(in_check) COVERAGE_PROCESS_START="$(CURDIR)/pyproject.toml" COVERAGE_FILE="$(CURDIR)/.coverage" \
	    $(tests) $(PYTEST_ARGS)

# Every kill point, every fault, hundreds of races: an hour or more.
torture: .tool/check/ready check-deps
	$(in_check) pytest -m torture $(PYTEST_ARGS)

RACE_ARGS ?= --rounds 50

race: .tool/check/ready
	$(in_check) python -m benchmarks.race $(RACE_ARGS)

# An hour on an idle machine; BENCH_ARGS="--quick", or "--only a,c20 --rounds 3".
bench: .tool/venv/ready .tool/bench/ready
	@benchmarks/setup-debian
	.tool/bench/bin/python -m benchmarks $(BENCH_ARGS)

timings: .tool/venv/ready
	@build/bin/sage-pkginstall timings

# ----------------------------------------------------------------------------- one file

pyz := dist/sage-pkginstall.pyz

dist: $(pyz)
	@:

$(pyz): .tool/venv/ready build/setup/zipapp $(shell find sage_pkginstall -type f ! -name '*.pyc' 2>/dev/null)
	@build/setup/zipapp .tool/venv/bin/python $@

# build/bin runs it once it is there: it must not stay what it was when the tool has changed.
.packages $(checks) coverage torture timings bench: $(wildcard $(pyz))

# ------------------------------------------------------------------------------- clean up

clean:
	rm -rf dist logs $(addsuffix /var/tmp/sage/build,local $(wildcard local/var/lib/sage/venv-*))
	rm -rf .coverage* .mypy_cache .pytest_cache .ruff_cache

distclean: clean
	rm -rf local .tool build/make/packages.mk .hypothesis .import_linter_cache
	find . \( -name upstream -o -name .git -o -name '.venv*' \) -prune -o -name __pycache__ -prune -exec rm -rf {} +

help:
	@sed -n 's/^#   //p' Makefile
