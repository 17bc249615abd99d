# `make test` and `make demo` do all of their own set-up, in a virtual environment of their own.
VENV ?= .venv
BIN = $(VENV)/bin
DEMO ?= demo

.PHONY: test demo docs clean

$(VENV)/.installed: pyproject.toml constraints.txt
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

test: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/make_docs.py --check
	$(BIN)/python tools/check_wheel.py
	$(BIN)/pytest -q -n 2 --dist worksteal

demo: $(VENV)/.installed
	$(BIN)/mtlgym bench --env MTL-QM9-Mini-v0 --agents igbv2 igbv1 equal uw rlw --seeds 0 \
		--jobs 2 --out $(DEMO)
	$(BIN)/mtlgym bench --preset bandit-figure1 --out $(DEMO)
	$(BIN)/mtlgym report $(DEMO) --out $(DEMO)/report

docs: $(VENV)/.installed
	$(BIN)/python tools/make_docs.py

clean:
	rm -rf $(VENV) build dist *.egg-info
