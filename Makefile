# SPDX-License-Identifier: Apache-2.0
# make demo and make test are all the set-up there is; make help lists the rest.
SHELL := /bin/bash -o pipefail
PYTHON ?= $(shell command -v python3.11 || command -v python3)
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/lastro
# Named by its content, so that two checkouts with the same packages share it and others do not disturb each other.
TESTPY := $(CACHE)/test-python-$(shell sha256sum tools/requirements-test.txt | cut -c1-12)
BENCHPY := $(CACHE)/bench-python-$(shell sha256sum tools/requirements-bench.txt | cut -c1-12)
export LASTRO_TEST_PYTHON := $(TESTPY)/bin/python
export CGO_ENABLED := 1
# uv, installed beside the test packages, makes environments in a tenth of the time that pip needs.
export PATH := $(PATH):$(CACHE)/tools

.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## install what is missing (apt when root), otherwise print the command
	@tools/setup.sh

build: setup ## bin/lastro
	@go build -trimpath -o bin/lastro ./cmd/lastro

$(TESTPY)/.complete:
	@echo "python packages of the tests and the demo, once …"
	@rm -rf $(TESTPY) && $(PYTHON) -m venv $(TESTPY)
	@$(TESTPY)/bin/python -m pip -q install "$$(grep ^uv== tools/requirements-test.txt)" && $(TESTPY)/bin/uv -q pip install --python $(TESTPY)/bin/python -r tools/requirements-test.txt
	@mkdir -p $(CACHE)/tools && ln -sf $(TESTPY)/bin/uv $(CACHE)/tools/uv && touch $@

python: setup $(TESTPY)/.complete
	@tools/clients.sh $(TESTPY)/bin/python >/dev/null

clients: python ## MLflow's clients of every version on both databases, with PyTorch Lightning (800 MB, once)
	LASTRO_CLIENTS=long LASTRO_CLIENTS_PACKAGES=$$(tools/clients.sh $(TESTPY)/bin/python long)/long tools/with-postgres.sh go test -timeout 60m -count 1 -v -run TestClients ./api/mlflow

demo: build python ## the whole loop on two real projects (the first time: 12 minutes on 2 cores)
	@LASTRO=$(CURDIR)/bin/lastro $(TESTPY)/bin/python demo/demo.py $(DEMO)

test: build python ## every test, also on a private PostgreSQL
	@tools/setup.sh test
	go vet ./...
	tools/with-postgres.sh go test -timeout 25m ./...

lint: setup ## go vet, staticcheck, govulncheck, gofmt
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	@tools/vulncheck.sh

$(BENCHPY)/.complete:
	@echo "make's and lastro's peers, once …"
	@rm -rf $(BENCHPY) && $(PYTHON) -m venv $(BENCHPY)
	@$(BENCHPY)/bin/python -m pip -q install -r tools/requirements-bench.txt && touch $@

bench: build python $(BENCHPY)/.complete ## the figures, beside their peers (BENCH="steps --short" for a part)
	@mkdir -p build/bench && go build -trimpath -o build/bench/ ./bench/...
	BENCH_PEERS=$(BENCHPY) $(TESTPY)/bin/python bench/bench.py $(BENCH)

torture: build python ## the long form of the tests that kill, cut off and fill up (hours)
	LASTRO_TORTURE=1 go test -timeout 12h -count 1 ./blob/... ./exec/... ./pipeline/... ./source/... ./store/... ./trigger/... ./app/... ./e2e/...

schema: ## rewrite schema/lastro.schema.json from the Go types
	go test ./project -run Schema -update

clean: ## remove what make made here
	rm -rf bin build

.PHONY: help setup build python clients demo test torture lint bench schema clean
