# Models of the protocols of mm/, checked by spin, and mutants of mm/. Included by the top Makefile.

.PHONY: model
model: ## Check the models in tests/models: every interleaving, and each guard left out once, which must fail; some minutes
	@scripts/model --build $(O)

.PHONY: mutants
mutants: $(if $(KERNEL),user-tests $(O)/perf/shadow.so) ## Put small defects into a copy of mm/, MINUTES=60 and SEED=1, and see which the host tests miss; KERNEL=1: and the programs
	@scripts/mutants --build $(O) --seed $(or $(SEED),1) --minutes $(or $(MINUTES),60) --count 1000 $(if $(KERNEL),--kernel)
