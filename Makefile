# What is done often, by name. CI does not use this file but .ci/run, which
# does all of it.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 20s
ID          ?=

.DEFAULT_GOAL := help
.PHONY: help build check staticcheck test race offline golden fuzz bench integration rule docs

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1	\2/p' Makefile | expand -t 22

build: ## the program, as ./mailaudit
	CGO_ENABLED=0 $(GO) build -trimpath -o mailaudit ./cmd/mailaudit

check: staticcheck ## format, vet, staticcheck and the architecture
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt -w wants:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags integration ./test/...
	$(GO) test .

staticcheck: ## staticcheck alone
	$(GO) run $(STATICCHECK) ./...
	$(GO) run $(STATICCHECK) -tags integration ./test/...

test: ## all tests that need no server
	$(GO) test ./...

race: ## the same under the race detector
	$(GO) test -race -timeout 30m -skip '^TestInject|Kill' ./...

offline: ## the same where there is no network but loopback
	unshare -rn sh -c 'ip link set lo up && $(GO) test -count=1 ./...'

golden: ## rewrite the golden files; read the diff before you commit it
	$(GO) test ./internal/report ./cmd/... -update

# The go command fuzzes one target at a time.
fuzz: ## each fuzz target for FUZZTIME (20s)
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's/:func /:/' | sort | \
	while IFS=: read -r file target; do \
		echo "== $$target in $$(dirname $$file)"; \
		$(GO) test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) "$$(dirname $$file)" </dev/null || exit 1; \
	done

bench: ## the program against a world of 20 ms (Linux), then the benchmarks
	$(GO) run ./tools/bench
	@grep -rl --include='*_test.go' '^func Benchmark' . | xargs -r -n 1 dirname | sort -u | \
		xargs -r $(GO) test -run='^$$' -bench=. -benchmem

integration: ## the program against real servers (Debian, as root; see test/integration)
	$(GO) test -tags integration -count=1 ./test/integration

rule: ## the skeleton of a rule: make rule ID=area.kebab-case
	@if [ -z "$(ID)" ]; then echo "usage: make rule ID=area.kebab-case"; exit 2; fi
	$(GO) run ./tools/newrule $(ID)

docs: ## docs/rules.md and docs/scoring.md
	$(GO) run ./tools/gendocs
