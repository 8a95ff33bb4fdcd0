# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := build/venv
PYTHON := /usr/bin/python3
PYTEST := $(VENV)/bin/python -m pytest
HOSTS ?= 2
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help
help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: venv
venv: $(VENV)/.ready ## make build/venv: ansible-core and what the tests need
	@:

# python3-libvirt and python3-guestfs exist for Debian's own Python only, hence the system's
# site-packages.
$(VENV)/.ready: requirements-dev.txt
	@tests/tools/debian-packages python3-venv python3-libvirt python3-guestfs
	@echo "venv: installing $< into $(VENV)"
	@$(PYTHON) -m venv --system-site-packages $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $< 2> build/venv.log \
		|| { cat build/venv.log >&2; exit 1; }
	@mkdir -p .collections/ansible_collections/maglica
	@ln -sfn ../../.. .collections/ansible_collections/maglica/cloud
	@touch $@

.PHONY: lint
lint: venv ## run every linter of the ecosystem (STEPS="mypy sanity" runs only these)
	@$(PYTHON) tests/tools/lint.py $(STEPS)

.PHONY: test-unit
test-unit: venv ## run the unit tests: no root, no libvirt, seconds
	@$(PYTEST) tests/unit

.PHONY: test-integration
test-integration: venv ## run the tests against a real libvirtd and real sockets
	@$(PYTEST) tests/integration

.PHONY: cloud
cloud: venv ## bring up the test hosts (HOSTS=2) with an original image and both workers
	@$(PYTHON) tests/cloud/cloud.py up --hosts $(HOSTS)

.PHONY: cloud-down
cloud-down: ## take the test hosts down; nothing of them stays
	@$(PYTHON) tests/cloud/cloud.py down

.PHONY: clean
clean: ## remove what was built, except the cloud and the caches
	@rm -rf build/venv build/lint build/cache build/*.tar.gz tests/output .collections
