# realmlift. `make export REALM=acme` needs Node 20 and nothing else.
#   REALM=name…  OUT=directory  JOBS=n  MODE=full|consent|public  ARGS=any further words for the command line
# `make load DIR=out/acme TARGET=postgresql://… SUBDOMAIN=acme` loads an export into a new server; files and salt by ARGS.
# Without DATABASE_URL or libpq's PG* variables the built-in sample server stands in for a real one.

OUT ?= out
BIN := node_modules/.bin
CLI := node dist/src/cli.js
SAMPLE := node dist/sample/with-sample-server.js
SERVER := $(if $(DATABASE_URL)$(PGHOST)$(PGHOSTADDR)$(PGDATABASE)$(PGSERVICE),,$(SAMPLE))
SOURCES := $(shell find src test bench sample examples docs -name '*.ts' 2>/dev/null)
need = $(or $($(1)),$(error $(1) is missing: make $@ $(2)))

.PHONY: export load backup test test-kill demo bench bench-files bench-backup bench-load bench-server lint build clean

export: build
	@$(SERVER) $(CLI) export --realm $(call need,REALM,REALM=name) --output '$(OUT)' \
	  $(if $(JOBS),--jobs $(JOBS)) $(if $(MODE),--mode $(MODE)) $(ARGS)

load: build
	@$(CLI) load '$(call need,DIR,DIR=export TARGET=url SUBDOMAIN=name)' --target-url '$(call need,TARGET,DIR=export TARGET=url SUBDOMAIN=name)' \
	  --subdomain '$(call need,SUBDOMAIN,DIR=export TARGET=url SUBDOMAIN=name)' $(if $(JOBS),--jobs $(JOBS)) $(ARGS)

backup: build
	@$(SERVER) $(CLI) backup --to '$(call need,TO,TO=directory RECIPIENT=age1…)' \
	  $(if $(RECIPIENTS),--recipients '$(RECIPIENTS)',--recipient $(call need,RECIPIENT,TO=directory RECIPIENT=age1…)) \
	  $(if $(JOBS),--jobs $(JOBS)) $(ARGS)

test test-kill: node_modules/.package-lock.json
	@npm run --silent build || { echo '0 passed, 1 failed'; exit 1; }
	@$(if $(filter test-kill,$@),LONG_TESTS=1) node dist/test/testbed/run-tests.js

demo: build
	@rm -rf out/demo
	@$(SAMPLE) $(CLI) export --realm acme --output out/demo
	@$(CLI) verify out/demo/acme

bench: build
	@node dist/bench/bench.js

bench-files bench-backup bench-load bench-server: bench-%: build
	@node dist/bench/bench-$*.js

lint: node_modules/.package-lock.json
	@$(BIN)/eslint .

build: dist/.built

dist/.built: node_modules/.package-lock.json tsconfig.json $(SOURCES) $(wildcard sql/*/*.sql)
	@npm run --silent build && chmod +x dist/src/cli.js && ln -sf ../../dist/src/cli.js $(BIN)/realmlift && touch $@

node_modules/.package-lock.json: package-lock.json
	@npm ci --no-audit --no-fund && touch $@

clean:
	@rm -rf dist .tap
