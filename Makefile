# What a newcomer types: make demo, make test. Everything else: make help.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 60s
BENCH    ?= .
BENCHTIME ?= 1s

# Recorded traffic for the tests. They skip with a plain line where it is absent.
export WEIR_DATA ?= $(abspath ../shared/data)

# Tools are built once from the Go module proxy, at the versions named here.
GOLANGCI_VERSION    := v2.15.0
GOVULNCHECK_VERSION := v1.9.0
TOOLS       := $(abspath .cache/tools)
GOLANGCI    := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)/golangci-lint
GOVULNCHECK := $(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION)/govulncheck

# The packages whose tests run a second time under the race detector: those
# that have goroutines.
RACE := ./internal/ingest/... ./internal/engine/... ./internal/api/... ./internal/store/...

.PHONY: help build demo test test-integration lint vulncheck fuzz bench bench-go quality mutations docs clean

help: ## this text
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Variables: DEMO_EXIT=1 (demo ends by itself), FUZZTIME=60s, BENCH=regexp, BENCHTIME=1s,"
	@echo "  BENCHFLAGS='-rounds 9 -run pcap' or -write (see go run . -help in bench), WEIR_DATA=directory,"
	@echo "  WEIR_QUALITY_SEEDS=1 (a quick make quality), WEIR_QUALITY_OUT=directory (writes the page there)"

build: ## bin/weir, a static binary
	CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/weir ./cmd/weir

demo: build ## play recorded attacks into a running server and show the alerts
	bin/weir demo $(if $(DEMO_EXIT),--exit)

test: ## go vet, every test, and the concurrent packages under the race detector
	$(GO) vet ./...
	$(GO) test -timeout 15m ./...
	@if [ -z "$$(command -v gcc || command -v clang)" ]; then \
	  echo "skipped: the race detector needs a C compiler (Debian: apt-get install gcc libc6-dev)"; \
	else \
	  pkgs=$$(for p in $(RACE); do d=$${p%/...}; [ -d "$$d" ] && $(GO) list "$$p"; done); \
	  CGO_ENABLED=1 $(GO) test -race -timeout 15m $$pkgs; \
	fi

test-integration: build ## the tests against real exporters and collectors (as root: installs them)
	integration/install
	pkgs=$$(grep -rlE '^//go:build .*\bintegration\b' --include='*_test.go' . | xargs -n 1 dirname | sort -u); \
	WEIR_BIN=$(abspath bin/weir) $(GO) test -count=1 -v -timeout 20m -tags integration $$pkgs

lint: $(GOLANGCI) vulncheck ## gofmt, go vet, go mod tidy, golangci-lint, known vulnerabilities
	@out=$$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 -r ls -d 2>/dev/null | xargs -r gofmt -l); \
	  if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags integration ./integration/...
	$(GO) mod tidy -diff
	$(GOLANGCI) run
	cd bench && $(GO) vet ./... && $(GO) mod tidy -diff && $(GOLANGCI) run

vulncheck: $(GOVULNCHECK) ## known vulnerabilities in what the binary calls
	@rc=0; out=$$($(GOVULNCHECK) ./... 2>&1) || rc=$$?; \
	if [ $$rc = 0 ]; then echo "govulncheck: nothing known"; \
	elif [ $$rc = 3 ]; then echo "$$out"; exit 1; \
	elif grep -qiE 'vuln\.go\.dev|no such host|connection refused|timeout|proxyconnect' <<<"$$out"; then \
	  echo "skipped: govulncheck cannot reach its database at vuln.go.dev"; \
	else echo "$$out"; exit 1; fi

$(GOLANGCI):
	@echo "building golangci-lint $(GOLANGCI_VERSION) once, this takes a few minutes"
	GOBIN=$(@D) GOFLAGS= $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

$(GOVULNCHECK):
	GOBIN=$(@D) GOFLAGS= $(GO) install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)

fuzz: ## every fuzz target for FUZZTIME
	@failed=; \
	while IFS=: read -r file name; do \
	  dir=$$(dirname "$$file"); echo "--- $$dir $$name"; \
	  $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "./$$dir" || failed="$$failed $$dir:$$name"; \
	done < <(git ls-files --cached --others --exclude-standard '*_test.go' | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]*' | sed 's/func //'); \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi; echo "every fuzz target passed"

bench: ## measure Weir against other programs on the same bytes (a few minutes, 2 GB below .cache)
	cd bench && $(GO) run . $(BENCHFLAGS)

bench-go: ## the benchmarks of all packages
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) ./...

quality: ## measure detection and write docs/reference/quality.md (half an hour or more)
	WEIR_QUALITY=full $(if $(WEIR_QUALITY_OUT),WEIR_QUALITY_OUT='$(abspath $(WEIR_QUALITY_OUT))') $(GO) test -count=1 -v -timeout 5h -run '^TestFull$$' ./internal/quality

mutations: ## show for every property that its test can fail: faults, one at a time, in a copy of the tree (long)
	WEIR_MUTATIONS=1 $(GO) test -count=1 -v -timeout 2h -run '^TestMutationsAreFound$$' ./internal/house

docs: ## write the generated pages anew
	@pkgs=$$(git ls-files --cached --others --exclude-standard '*_test.go' | xargs grep -lE 'flag\.Bool\("update"' | xargs -n 1 dirname | sort -u | sed 's,^,./,'); \
	for p in $$pkgs; do $(GO) test -count=1 "$$p" -update; done

clean: ## remove what make built
	rm -rf bin .cache
