# Proofs of the parts of mm/ that are arithmetic. Included by the top Makefile.

.PHONY: proofs
proofs: ## Prove tests/proofs by CBMC (from Debian 13, 70 MB): entries, counts, ranges, buddy; each with its defects too, which must be noticed
	@scripts/prove --build $(O)
