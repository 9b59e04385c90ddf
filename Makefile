# The two commands that matter are `make run` and `make test`; each sets up what it needs first.
SWIFT ?= swift
PANGUARD = .build/release/panguard

.PHONY: run test setup setup-tests build bench lint clean help

help: ## What each target does
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: setup build ## Set up, build, and watch this host in the foreground (Ctrl-C ends it)
	$(PANGUARD) run

test: setup-tests ## Set up and run all tests
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build

setup: ## Install what building needs (apt)
	@scripts/setup

setup-tests:
	@scripts/setup --tests

build: ## Release build
	$(SWIFT) build -c release --product panguard

bench: setup build ## Print the figures of docs/performance.md for this machine
	@scripts/bench

lint: ## Formatting and style
	$(SWIFT) format lint --strict --recursive Sources Tests Package.swift

clean:
	rm -rf .build
