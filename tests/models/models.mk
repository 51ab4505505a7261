# Models of the protocols of mm/, checked by spin. Included by the top Makefile.

.PHONY: model
model: ## Check the models in tests/models: every interleaving, and each guard left out once, which must fail; some minutes
	@scripts/model --build $(O)
