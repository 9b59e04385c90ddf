# The two commands that matter are `make run` and `make test`; each sets up what it needs first.
SWIFT ?= swift
PANGUARD = .build/release/panguard
# What `panguard run` starts lies beside it.
PROGRAMS = panguardd panguard-enforcer panguard-uplink panguard-responder panguard-capture panguard
# The Swift runtime is linked in: the program then needs no toolchain where it runs, and a third less resident memory.
LINKING = --static-swift-stdlib -Xswiftc -use-ld=lld -Xlinker -z -Xlinker pack-relative-relocs
RELEASE = -c release $(LINKING)

.PHONY: help run test setup setup-tests setup-package setup-package-tests build bench bench-net score-network score-baseline bench-capture bench-response bench-blocks differential completions man deb test-package schema lint clean

help: ## What each target does
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

run: setup build ## Set up, build, and watch this host in the foreground (Ctrl-C ends it)
	$(PANGUARD) run

test: setup-tests ## Set up and run all tests
	$(SWIFT) build --build-tests
	@SWIFT=$(SWIFT) scripts/test

setup: ## Install what building needs (apt)
	@scripts/setup

setup-tests:
	@scripts/setup --tests

setup-package:
	@scripts/setup --package

setup-package-tests:
	@scripts/setup --package-tests

build: ## Release build of all programs
	for program in $(PROGRAMS); do $(SWIFT) build $(RELEASE) --product $$program || exit 1; done

bench: setup build ## Print the figures of docs/performance.md for this machine
	@scripts/bench

bench-response: setup build ## From an attacker's last line to the kernel's drop, under load (needs root)
	@scripts/bench-response

bench-blocks: setup build ## What 50,000 blocks cost, beside fail2ban where it is installed (needs root; some minutes)
	@scripts/bench-blocks

bench-net: setup build ## The same for captures, with detection: packets per CPU second and peak memory, beside the peers that are installed
	@scripts/bench-net

score-network: setup build ## Detection on 20 generated captures with ground truth: attack by attack, and who was flagged wrongly (PANGUARD_SHARED)
	@scripts/score-network --clean

score-baseline: setup build ## Precision and recall with and without the baseline, on logs with ground truth (PANGUARD_SHARED)
	@scripts/score-baseline

bench-capture: setup-tests ## 100,000 packets a second for 10 s over a cable of its own: what the capture loses and costs (needs root)
	@scripts/bench-capture

differential: setup build ## Compare with the reference engines over the whole corpus (PANGUARD_SHARED, PANGUARD_PYATR_WHEEL)
	$(SWIFT) build -c release --product regular-expressions-outline $(LINKING)
	@scripts/differential

completions: build ## Shell completions, in dist/completions
	@mkdir -p dist/completions
	$(PANGUARD) --generate-completion-script bash > dist/completions/panguard.bash
	$(PANGUARD) --generate-completion-script zsh > dist/completions/_panguard
	$(PANGUARD) --generate-completion-script fish > dist/completions/panguard.fish

man: build ## Man pages, in dist/man
	@packaging/man/generate .build/release dist/man

deb: setup-package build ## A Debian package, in dist
	@packaging/build-deb

test-package: deb setup-package-tests ## Boot a systemd of its own, install the package in it, attack, upgrade, remove (needs root)
	@packaging/test-install

schema: ## JSON Schemas for editors, in docs/schema
	@mkdir -p docs/schema
	$(SWIFT) build --product panguard
	for kind in rule correlation profile configuration; do .build/debug/panguard rules schema $$kind > docs/schema/$$kind.schema.json; done

lint: ## Formatting and style
	$(SWIFT) format lint --strict --recursive Sources Tests Package.swift

clean:
	rm -rf .build
