# `make test` and `make demo` do all of their own set-up, in a virtual environment of their own.
VENV ?= .venv
BIN = $(VENV)/bin
DEMO ?= demo

.PHONY: test lint types pages wheel demo docs clean

$(VENV)/.installed: pyproject.toml constraints.txt
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

test: $(VENV)/.installed
	$(MAKE) --jobs 2 types pages wheel lint  # the longest first
	$(BIN)/pytest -q -n 2 --dist worksteal

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

pages: $(VENV)/.installed
	$(BIN)/python tools/make_docs.py --check

wheel: $(VENV)/.installed
	$(BIN)/python tools/check_wheel.py

demo: $(VENV)/.installed
	$(BIN)/mtlgym bench --env MTL-QM9-Mini-v0 --agents igbv2 igbv1 equal uw rlw --seeds 0 \
		--jobs 2 --out $(DEMO)
	$(BIN)/mtlgym bench --preset bandit-figure1 --out $(DEMO)
	$(BIN)/mtlgym report $(DEMO) --out $(DEMO)/report

docs: $(VENV)/.installed
	$(BIN)/python tools/make_docs.py

clean:
	rm -rf $(VENV) build dist *.egg-info
