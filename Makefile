# realmlift: `make` says what there is to make. Node 20 is needed and nothing else; without DATABASE_URL or libpq's PG*
# variables the built-in sample server stands in for a real one.

OUT ?= out
BIN := node_modules/.bin
CLI := node dist/bundle/realmlift.cjs
SAMPLE := node dist/sample/with-sample-server.js
REAL := $(DATABASE_URL)$(PGHOST)$(PGHOSTADDR)$(PGDATABASE)$(PGSERVICE)
SERVER := $(if $(REAL),,$(SAMPLE))
SOURCES := $(shell find assembly src test bench sample examples docs -name '*.ts' 2>/dev/null)

# What is wrong with the words is told before anything is built or started.
need = $(if $($(1)),,$(error $(1)= is missing: make $(2)))
asked = $(filter $(1),$(MAKECMDGOALS))
ifneq ($(call asked,export),)
  $(call need,REALM,export REALM=name)
  $(if $(filter-out full consent public,$(MODE)),$(error MODE= is full, consent or public, and not $(MODE)))
endif
ifneq ($(call asked,export backup),)
  $(if $(UPLOADS)$(SECRETS),$(if $(REAL),,$(error UPLOADS= and SECRETS= are of your own server: say where its database is, DATABASE_URL=postgresql://…)))
endif
ifneq ($(call asked,load),)
  $(foreach name,DIR TARGET SUBDOMAIN,$(call need,$(name),load DIR=export TARGET=url SUBDOMAIN=name))
endif
ifneq ($(call asked,backup),)
  $(call need,TO,backup TO=directory RECIPIENT=age1…)
  $(if $(RECIPIENTS)$(RECIPIENT),,$(error RECIPIENT= is missing: make backup TO=directory RECIPIENT=age1…))
endif

.PHONY: help export load backup sample demo test test-kill bench bench-files bench-backup bench-load bench-split bench-server bench-queue bench-catch-up lint build clean

help:
	@sed -n 's/^#: //p' Makefile

#: make export REALM=acme      export a realm to out/acme, from the sample server or from your own
#:      OUT=directory MODE=full|consent|public JOBS=n ARGS="further words of realmlift export"
#:      your own: DATABASE_URL=url, UPLOADS=directory or S3_UPLOADS_BUCKET=name S3_AVATARS_BUCKET=name, SECRETS=zulip-secrets.conf
export: build
	@for realm in $(REALM); do if [ -e '$(OUT)'/"$$realm"/manifest.json ]; then \
	  echo "$(OUT)/$$realm is there already: look at $(OUT)/$$realm/report.html; rm -r $(OUT)/$$realm makes room, OUT= chooses another place" >&2; exit 2; fi; done
	@$(SERVER) $(CLI) export $(foreach realm,$(REALM),--realm '$(realm)') --output '$(OUT)' $(if $(UPLOADS),--uploads-dir '$(UPLOADS)') \
	  $(if $(SECRETS),--zulip-secrets '$(SECRETS)') $(if $(JOBS),--jobs '$(JOBS)') $(if $(MODE),--mode $(MODE)) $(ARGS)

#: make load DIR=out/acme TARGET=url SUBDOMAIN=name   load an export into a new server; its UPLOADS= SECRETS=, or S3_…; JOBS= ARGS=
load: build
	@$(CLI) load '$(DIR)' --target-url '$(TARGET)' --subdomain '$(SUBDOMAIN)' $(if $(UPLOADS),--uploads-dir '$(UPLOADS)') $(if $(SECRETS),--zulip-secrets '$(SECRETS)') $(if $(JOBS),--jobs '$(JOBS)') $(ARGS)

#: make backup TO=directory RECIPIENT=age1…           save the whole database, encrypted; or RECIPIENTS=file; UPLOADS=directory: with its files
backup: build
	@$(SERVER) $(CLI) backup --to '$(TO)' $(if $(UPLOADS),--uploads-dir '$(UPLOADS)') $(if $(RECIPIENTS),--recipients '$(RECIPIENTS)',--recipient '$(RECIPIENT)') $(if $(JOBS),--jobs '$(JOBS)') $(ARGS)

#: make sample      a shell with the sample server: DATABASE_URL and the rest are set, exit ends it
sample: build
	@$(SAMPLE) --shell

#: make demo        export acme of the sample server to out/demo, and verify it
demo: build
	@rm -rf out/demo
	@$(SAMPLE) $(CLI) export --realm acme --output out/demo
	@$(CLI) verify out/demo/acme

#: make test        lint and all tests, on servers that it starts; test-kill: those that take hours
# Lint checks the types, beside the first tests.
test test-kill: node_modules/.package-lock.json
	@npm run --silent build-unchecked && npm run --silent bundle || { echo '0 passed, 1 failed'; exit 1; }
	@$(if $(filter test-kill,$@),LONG_TESTS=1) node dist/test/testbed/run-tests.js

#: make bench       measure an export; bench-files, bench-split, bench-backup, bench-load, bench-server, bench-queue, bench-catch-up the rest
bench: build
	@node dist/bench/bench.js

bench-files bench-backup bench-split bench-load bench-server bench-queue bench-catch-up: bench-%: build
	@node dist/bench/bench-$*.js

#: make lint build clean
lint: node_modules/.package-lock.json
	@$(BIN)/eslint .

build: dist/.built

dist/.built: node_modules/.package-lock.json tsconfig.json assembly/asconfig.json $(SOURCES) $(wildcard sql/*/*.sql bundle/*)
	@echo 'Building realmlift …' >&2
	@npm run --silent build && npm run --silent bundle && ln -sf ../../dist/bundle/realmlift.cjs $(BIN)/realmlift && touch $@

node_modules/.package-lock.json: package-lock.json
	@echo 'Installing what it needs into node_modules (npm ci; once) …' >&2
	@npm ci --no-audit --no-fund --loglevel=error && touch $@

clean:
	@rm -rf dist .tap
