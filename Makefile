# SPDX-License-Identifier: Apache-2.0
# Every target is a script: this file only gives them short names. `make run` and `make test` need
# nothing but make itself; the scripts install what else is missing.
PREFIX ?= /usr/local
SECONDS_EACH ?= 60
SECONDS ?= 1800

.PHONY: all build run test test-faults test-brokers test-sanitizers bench soak fuzz install clean

all: build
build:
	@scripts/build
run:
	@scripts/run
test:
	@scripts/test
test-faults:
	@scripts/test-faults
test-brokers:
	@scripts/test-brokers
test-sanitizers:
	@scripts/test-sanitizers
bench:
	@scripts/bench $(BENCH)
soak:
	@scripts/soak $(SECONDS)
fuzz:
	@scripts/fuzz $(SECONDS_EACH)
install:
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" scripts/install
clean:
	rm -rf build build-asan build-tsan build-install build-fuzz build-bench
