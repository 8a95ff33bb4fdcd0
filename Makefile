# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := build/venv
# Debian's own Python: python3-libvirt and python3-guestfs exist for no other.
PYTHON := /usr/bin/python3
OWN_TMP := $(CURDIR)/tests/tools/own-tmp
PYTEST := $(OWN_TMP) $(VENV)/bin/python -m pytest
# A process for each core; one of them may have an appliance with its gigabyte of memory.
BESIDE := --numprocesses auto --maxprocesses 4 --dist loadscope
# One more, since they often wait: for a timer, a vm that ends, a worker that starts.
BESIDE_WAITING := --numprocesses $(shell echo $$(($$(nproc) < 4 ? $$(nproc) + 1 : 4))) --dist loadscope
CLOUD := $(PYTHON) tests/cloud/cloud.py
HOSTS ?= 2
BARE ?= demo test
# What a machine needs to run libvirtd, QEMU and the appliances of libguestfs itself.
HOST_PACKAGES := libvirt-daemon-system libguestfs-tools linux-image-cloud-amd64 qemu-system-x86 qemu-utils \
	e2fsprogs openssh-client openssl systemd xz-utils zstd
# Nothing is left outside the checkout but Debian packages.
export PIP_CACHE_DIR := $(CURDIR)/build/cache/pip
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help
help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: venv
venv: $(VENV)/.ready ## make build/venv: ansible-core, the command maglica, and what the tests need
	@:

$(VENV)/.ready: requirements-dev.txt
	@tests/tools/debian-packages git python3-venv python3-libvirt python3-guestfs
	@echo "venv: installing $< into $(VENV)"
	@$(PYTHON) -m venv --system-site-packages $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $< 2> build/venv.log \
		|| { cat build/venv.log >&2; exit 1; }
	@mkdir -p .collections/ansible_collections/maglica
	@ln -sfn ../../.. .collections/ansible_collections/maglica/cloud
	@printf '#!/bin/sh\nexec "%s" "%s" maglica.cli.main "$$@"\n' "$(CURDIR)/$(VENV)/bin/python" \
		"$(CURDIR)/plugins/module_utils/maglica/run.py" > $(VENV)/bin/maglica
	@chmod +x $(VENV)/bin/maglica
	@touch $@

.PHONY: demo
demo: venv ## bring up a real cloud on this machine, clone and boot a vm, and show how long it took
	@$(CLOUD) up --hosts $(HOSTS) --no-image
	@tests/cloud/demo

.PHONY: test
test: venv ## run the linters, the unit, integration and cloud tests, and test-faults-short
	@$(PYTHON) tests/tools/stages.py

.PHONY: test-all
test-all: venv ## run all of test, and what takes longer and is not needed for each change
	@$(PYTHON) tests/tools/stages.py --all

.PHONY: test-bare
test-bare: ## do it as a newcomer does, on a bare Debian in a container (BARE="demo test")
	@tests/tools/debian-packages python3
	@$(PYTHON) tests/tools/bare.py $(BARE)

.PHONY: lint
lint: venv ## run every linter of the ecosystem (STEPS="mypy sanity" runs only these)
	@$(PYTHON) tests/tools/lint.py $(STEPS)

.PHONY: configuration
configuration: venv ## write docs/configuration.md anew, from the code
	@$(VENV)/bin/python tests/tools/configuration.py

.PHONY: protocol-schema
protocol-schema: venv ## write docs/protocol.schema.json anew, from the checks of the messages
	@$(VENV)/bin/python tests/tools/protocol_schema.py

.PHONY: lint-all
lint-all: venv
	@$(PYTHON) tests/tools/lint.py --all

.PHONY: test-unit
test-unit: venv ## run the unit tests: no root, no libvirt, seconds
	@tests/tools/debian-packages systemd openssl
	@$(PYTEST) $(BESIDE) tests/unit

.PHONY: test-integration
test-integration: test-integration-beside test-integration-alone ## run the tests against a real libvirtd and real sockets

INTEGRATION_PACKAGES := $(HOST_PACKAGES) btrfs-progs xfsprogs fdisk iproute2 openssl sasl2-bin \
	libsasl2-modules virtinst bindfs dnsmasq-base ovmf

# Those that run beside each other, and those that measure time: `make test` does other things
# beside the first, and nothing beside the second.
.PHONY: test-integration-beside
test-integration-beside: venv
	@tests/tools/debian-packages $(INTEGRATION_PACKAGES)
	@$(PYTEST) $(BESIDE_WAITING) -m "not alone" tests/integration

.PHONY: test-integration-alone
test-integration-alone: venv
	@tests/tools/debian-packages $(INTEGRATION_PACKAGES)
	@$(PYTEST) -m alone tests/integration

.PHONY: test-cloud
test-cloud: cloud ## run the tests that clone and boot on the real hosts of `make cloud`
	@$(PYTEST) --timeout 900 tests/cloud

# Two at a time, each on a host of its own.
.PHONY: guests
guests: cloud ## boot real guests of Debian 12 and 13, on each file system, by BIOS and UEFI, in each way
	@cd tests && $(PYTHON) -m guests.build
	@$(PYTEST) --timeout 2400 --numprocesses $(HOSTS) tests/guests

.PHONY: test-existing
test-existing: cloud ## have a host with things of its own join, work and leave; replace all keys; take all away and bring it back
	@tests/tools/debian-packages libsasl2-modules openssl
	@$(PYTEST) --timeout 2400 tests/existing

FAULT_PACKAGES := $(HOST_PACKAGES) iproute2 iptables

.PHONY: test-faults
test-faults: cloud ## kill, cut off, fill up and attack everything, and count the damage (AREAS="..." SEED=n)
	@tests/tools/debian-packages $(FAULT_PACKAGES)
	@cd tests && $(OWN_TMP) $(CURDIR)/$(VENV)/bin/python -m faults.run $(if $(SEED),--seed $(SEED)) $(AREAS)

.PHONY: test-faults-short
test-faults-short: cloud ## the short form of test-faults, which is a part of test
	@tests/tools/debian-packages $(FAULT_PACKAGES)
	@cd tests && $(OWN_TMP) $(CURDIR)/$(VENV)/bin/python -m faults.run --short $(if $(SEED),--seed $(SEED)) $(AREAS)

.PHONY: test-lost-journal
test-lost-journal: venv ## lose the client worker's journal under load, with a backup and without, and count the damage (SEED=n)
	@tests/tools/debian-packages libvirt-daemon-system
	@cd tests && PYTHONPATH=$(CURDIR)/plugins/module_utils:. $(OWN_TMP) $(CURDIR)/$(VENV)/bin/python -m faults.lost_journal $(if $(SEED),--seed $(SEED))

.PHONY: house
house: ## measure plugins/: folders, lines, imports, what stands twice (ROOT=checkout, or COMMIT="sha a..b")
	@cd tests && $(PYTHON) -m tools.house $(if $(ROOT),--root $(abspath $(ROOT))) $(if $(COMMIT),--commit $(COMMIT))

.PHONY: picture
picture: ## draw the rooms of plugins/ and who imports whom; writes docs/architecture.svg
	@cd tests && $(PYTHON) -m tools.picture

.PHONY: bench-control
bench-control: venv cloud ## time the control side: vms whose clones cost nothing, and changes of a guest that runs beside virsh
	@tests/tools/debian-packages libvirt-daemon-system
	@cd tests && PYTHONPATH=$(CURDIR)/plugins/module_utils:. $(OWN_TMP) $(CURDIR)/$(VENV)/bin/python -m bench.control

.PHONY: bench-listing
bench-listing: venv build/bench/venv/.ready ## time the inventory beside community.libvirt's; writes docs/performance-listing.md
	@tests/tools/debian-packages libvirt-daemon-system
	@cd tests && PYTHONPATH=../plugins/module_utils $(OWN_TMP) $(CURDIR)/build/bench/venv/bin/python -m bench.listing

.PHONY: bench-upgrade
bench-upgrade: venv cloud ## upgrade the cloud from an earlier version, with 200 requests in flight, and count what is lost
	@cd tests && PYTHONPATH=$(CURDIR)/plugins/module_utils:. $(OWN_TMP) $(CURDIR)/$(VENV)/bin/python -m bench.upgrade

.PHONY: bench-restore
bench-restore: venv cloud ## lose the client worker with 200 requests in flight, restore it on another machine, and count what is lost
	@cd tests && PYTHONPATH=$(CURDIR)/plugins/module_utils:. $(OWN_TMP) $(CURDIR)/$(VENV)/bin/python -m bench.restore

.PHONY: bench-images
bench-images: venv cloud ## time importing an image beside curl, sha256sum and qemu-img; writes docs/performance-images.md
	@tests/tools/debian-packages $(HOST_PACKAGES) curl
	@cd tests && PYTHONPATH=$(CURDIR)/plugins/module_utils:. $(OWN_TMP) $(CURDIR)/$(VENV)/bin/python -m bench.images

.PHONY: bench-clone
bench-clone: venv build/bench/venv/.ready cloud ## time cloning beside virt-clone with virt-customize, virt-install, and kcli; writes docs/performance.md
	@tests/tools/debian-packages $(HOST_PACKAGES) virtinst xorriso
	@cd tests && PYTHONPATH=../plugins/module_utils $(OWN_TMP) $(CURDIR)/build/bench/venv/bin/python -m bench.clone

DEPLOY_PACKAGES := mmdebstrap debian-archive-keyring systemd-container iproute2 slirp4netns util-linux openssh-client \
	qemu-system-x86 qemu-utils fdisk dosfstools mtools e2fsprogs xfsprogs btrfs-progs

.PHONY: bench-deploy
bench-deploy: venv build ## time it from bare machines to the first guest; writes docs/performance-deploy.md (CASES="12 three")
	@tests/tools/debian-packages $(DEPLOY_PACKAGES)
	@cd tests && PYTHONPATH=.:cloud $(OWN_TMP) $(CURDIR)/$(VENV)/bin/python -m bench.deploy $(CASES)

build/bench/venv/.ready: requirements-bench.txt
	@echo "bench: installing $< into build/bench/venv"
	@$(PYTHON) -m venv --system-site-packages build/bench/venv
	@build/bench/venv/bin/python -m pip install --quiet --disable-pip-version-check -r $< 2> build/bench/venv.log \
		|| { cat build/bench/venv.log >&2; exit 1; }
	@touch $@

.PHONY: cloud
cloud: venv ## bring up the test hosts (HOSTS=2) with an original image and both workers
	@$(CLOUD) up --hosts $(HOSTS)

.PHONY: cloud-down
cloud-down: ## take the test hosts down; nothing of them stays but the cached roots
	@$(CLOUD) down

.PHONY: build
build: venv ## build the collection's archive into build/
	@rm -rf build/archive build/*.tar.gz
	@$(PYTHON) tests/tools/tracked.py build/archive/ansible_collections/maglica/cloud
	@ansible-galaxy collection build build/archive/ansible_collections/maglica/cloud \
		--output-path build > build/archive.log || { cat build/archive.log >&2; exit 1; }
	@ls build/*.tar.gz

.PHONY: clean
clean: ## remove what was built, but not the cloud and its cached roots
	@tests/tools/remove-tree $(VENV) build/archive build/bench build/cache/{mypy,pytest,ruff} build/figures build/lint build/tmp build/*.log build/*.tar.gz \
		.collections tests/output

.PHONY: clean-all
clean-all: ## take the cloud down and remove everything that was built
	@$(CLOUD) clean
	@$(PYTHON) tests/tools/bare.py
	@tests/tools/remove-tree build .collections tests/output
