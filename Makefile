# SPDX-License-Identifier: PostgreSQL
# concert: `make help` lists what there is to make. PGXS keeps its own makefile, extension/Makefile,
# because it owns a target named check; it runs in build/extension with this folder as VPATH.

PG_CONFIG ?= pg_config
PREFIX ?= /usr/local
VERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" concert.control)
TOP := $(CURDIR)
EXTENSION_BUILD ?= build/extension

# Bitcode for the server's JIT needs clang; without it the extension is complete all the same.
WITH_LLVM := $(if $(shell command -v clang 2>/dev/null),,with_llvm=no)
EXTENSION_MAKE = $(MAKE) -C $(EXTENSION_BUILD) -f $(TOP)/extension/Makefile VPATH=$(TOP) \
	PG_CONFIG=$(PG_CONFIG) $(WITH_LLVM)

.DEFAULT_GOAL := all
.PHONY: all extension sidecar install install-extension install-sidecar installcheck stage packages \
	check check-quick check-long reference demo demo-stop bench format lint clean help

all: extension sidecar ## build both halves

extension: ## build the PostgreSQL extension
	@mkdir -p $(EXTENSION_BUILD)
	+@$(EXTENSION_MAKE) --no-print-directory all

sidecar: ## build concertd
	@$(MAKE) --no-print-directory -C sidecar

install: install-extension install-sidecar ## install both halves (DESTDIR and PREFIX are honoured)

install-extension: extension
	+@$(EXTENSION_MAKE) --no-print-directory install DESTDIR=$(DESTDIR)

install-sidecar: sidecar
	@$(MAKE) --no-print-directory -C sidecar install DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)

installcheck: extension ## pg_regress and isolation tests against a running server
	@mkdir -p $(EXTENSION_BUILD)/specs
	@cp -r specs expected $(EXTENSION_BUILD)/
	+@$(EXTENSION_MAKE) --no-print-directory installcheck

packages: ## install the Debian packages that building and testing need
	@scripts/install-packages

stage: packages ## install both halves below build/stage, for the tests and the demo
	@mkdir -p build
	@$(MAKE) --no-print-directory install DESTDIR=$(TOP)/build/stage >build/stage.log 2>&1 || \
		{ cat build/stage.log; exit 1; }

check: ## run all tests on throw-away servers (sets everything up; under 20 minutes)
	@scripts/check

check-quick: ## run the unit, regression and isolation tests (under 2 minutes)
	@scripts/check --quick

check-long: ## run what takes longer: soaks, other PostgreSQL majors, coverage, sanitizers
	@scripts/check --long

reference: ## write docs/sql-reference.md from the functions' own comments
	@scripts/sql-reference

demo: ## sell a hall from end to end (VENUE=file.csv FANS=n KAFKA=embedded|apache KEEP=1)
	@deploy/demo/demo

demo-stop: ## stop a demo that was left running by KEEP=1
	@deploy/demo/demo stop

bench: ## run every benchmark; `make bench-NAME` runs one (results in build/bench/NAME.json)
	@bench/run

bench-%:
	@bench/run $*

format: ## format the C sources
	@scripts/format

lint: ## clang-tidy, cppcheck and shellcheck
	@scripts/lint

clean: ## remove everything that was built
	rm -rf build

help: ## list the targets
	@echo "concert $(VERSION)"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
