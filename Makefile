# `make help` says what there is. Everything here also works without make: the
# recipes are plain go commands and the scripts in .ci.

SHELL = /bin/bash
.SHELLFLAGS = -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# VERSION names a build without a tag, and one from an archive that has no .git.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
GO ?= go
# No tool of go.mod: it would bring three hundred modules into every download.
GORELEASER = $(GO) run github.com/goreleaser/goreleaser/v2@v2.14.0
FUZZTIME ?= 2s
CAMPAIGN_FUZZTIME ?= 10m
BENCH ?= .
PKG ?= ./...

# The version is stamped by hand, so that a build does not depend on git.
BUILD = CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'

.PHONY: help
help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## build bin/vaultpam and bin/vaultpamd
	$(BUILD) -o bin/ ./cmd/vaultpam ./cmd/vaultpamd

.PHONY: demo
demo: build ## the whole story in one go: sign in, ssh, recording, ledger, refusal
	bin/vaultpamd demo --once

.PHONY: test
test: deps ## everything: all tests with the race detector, every fuzz target for FUZZTIME
	$(GO) test -race -timeout 10m $(PKG)
	FUZZTIME=$(FUZZTIME) .ci/fuzz $(PKG)

.PHONY: deps
deps: ## install what the tests need (as root on Debian), or say what to install
	@.ci/deps

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME
	FUZZTIME=$(FUZZTIME) .ci/fuzz $(PKG)

.PHONY: lint
lint: ## a tidy go.mod, golangci-lint, a check that its import rules bite, and govulncheck
	$(GO) mod tidy -diff
	$(GO) tool golangci-lint run ./...
	.ci/lint-selftest
	.ci/client-links
	.ci/vuln

.PHONY: fix
fix: ## let the linters repair what they can
	$(GO) tool golangci-lint run --fix ./...

.PHONY: bench
bench: deps ## benchmarks; BENCH and PKG choose
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 30m $(PKG)

.PHONY: campaign
campaign: deps snapshot ## hours: a release's files, the long loops, every fuzz target for CAMPAIGN_FUZZTIME
	@VAULTPAM_CAMPAIGN=1 .ci/deps
	VAULTPAM_CAMPAIGN=1 $(GO) test -count=1 -timeout 6h $(PKG)
	FUZZTIME=$(CAMPAIGN_FUZZTIME) .ci/fuzz $(PKG)

.PHONY: cross
cross: ## check that both programs compile for every system of a release
	@for target in linux/amd64 linux/arm64 darwin/arm64 windows/amd64; do \
		echo "$$target"; \
		CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -buildvcs=false -o /dev/null ./cmd/...; \
	done

.PHONY: snapshot
snapshot: deps ## a release's files into dist/, published nowhere; its deb is installed and tried
	$(GORELEASER) check
	$(GORELEASER) release --snapshot --clean --skip=publish
	$(GO) test -count=1 ./cmd/vaultpamd/packaging -deb "$(CURDIR)"/dist/vaultpam_*_linux_$$($(GO) env GOARCH).deb

.PHONY: clean
clean: ## remove what make built
	rm -rf bin dist
