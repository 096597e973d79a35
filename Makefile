# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo faults fuzz qemu test lint types contract check clean

demo: $(VENV)/.done
	$(BIN)/migemu run

test: $(VENV)/.done
	$(BIN)/pytest

# Everything that has a real QEMU at one end or at both: every version pair, channel count and dialect. Fetches
# a QEMU 10, and where it can a newer one, into a folder; as root also Debian's own where it is missing.
qemu: $(VENV)/.done
	@command -v qemu-system-x86_64 >/dev/null || [ "$$(id -u)" != 0 ] || \
		apt-get install -y -qq --no-install-recommends qemu-system-x86 gcc libc6-dev >/dev/null || \
		echo "SKIP: no QEMU of this machine's own"
	tests/qemu/get-qemu.sh
	MIGEMU_QEMU_SUITE=sid tests/qemu/get-qemu.sh $${XDG_CACHE_HOME:-$$HOME/.cache}/migemu/qemu-11 || \
		echo "SKIP: no QEMU newer than 10; what needs it skips"
	MIGEMU_QEMU_TARGET=aarch64 tests/qemu/get-qemu.sh && MIGEMU_QEMU_TARGET=aarch64 MIGEMU_QEMU_SUITE=sid \
		tests/qemu/get-qemu.sh $${XDG_CACHE_HOME:-$$HOME/.cache}/migemu/qemu-11-aarch64 || \
		echo "SKIP: not every ARM64 QEMU; what needs it skips"
	MIGEMU_QEMU_ALL=1 $(BIN)/pytest tests/qemu tests/lab/test_replay_qemu.py

# Every fault at every moment of a migration between real processes, as a table; a quarter of an hour.
faults: $(VENV)/.done
	cd tests && $(abspath $(BIN))/python -m faults

# A million inputs for the parsers of the wire, then half an hour of whole destinations: fed with a migration of
# ours, and with recordings of real QEMUs.
fuzz: $(VENV)/.done
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	cd tests && for target in main multifd hello returns small; do \
		$(abspath $(BIN))/python -m fuzz $$target -runs=200000 -max_len=20000 || exit 1; done
	cd tests && for target in destination recorded; do \
		$(abspath $(BIN))/python -m fuzz $$target -max_total_time=900 -max_len=64 || exit 1; done

lint: $(VENV)/.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.done
	$(BIN)/mypy

contract: $(VENV)/.done
	$(BIN)/lint-imports

check: lint types contract test

$(VENV)/.done: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "needs $(PYTHON) with venv (set PYTHON=...)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
