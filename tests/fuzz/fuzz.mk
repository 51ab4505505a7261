# libFuzzer on fs/: make fuzz [SECONDS=60]. Included by the top Makefile. Corpora stay in $(O)/fuzz.

SECONDS ?= 60
FUZZ_CFLAGS  := -std=gnu11 -O1 -g -fno-omit-frame-pointer -DCORRAL_DEBUG -I. -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=undefined
FUZZ_TARGETS := gpt fat
FUZZ_BIN     := $(FUZZ_TARGETS:%=$(O)/fuzz/fuzz_%)

$(O)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/fuzz.h $(fs-y:%.o=fs/%.c) $(wildcard fs/*.h) tests/fuzz/fuzz.mk
	$(call say,FUZZ,$@)mkdir -p $(@D) && clang $(FUZZ_CFLAGS) $(UNIT_WARN) -o $@ $< $(fs-y:%.o=fs/%.c)

.PHONY: fuzz fuzz-build
fuzz-build: $(FUZZ_BIN)
fuzz: $(FUZZ_BIN) ## Run libFuzzer on partition tables and FAT volumes, SECONDS=60 each
	@for name in $(FUZZ_TARGETS); do \
		mkdir -p $(O)/fuzz/corpus_$$name && \
		FUZZ_CORPUS=$(O)/fuzz/corpus_$$name $(O)/fuzz/fuzz_$$name -max_total_time=$(SECONDS) -max_len=65536 -len_control=0 \
			-timeout=20 -rss_limit_mb=1024 -verbosity=0 -print_final_stats=1 -artifact_prefix=$(O)/fuzz/$$name- \
			$(O)/fuzz/corpus_$$name || exit 1; \
	done
