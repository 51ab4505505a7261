# libFuzzer on what reads others' bytes: make fuzz [SECONDS=60]. Included by the top Makefile. Corpora stay in $(O)/fuzz.

SECONDS ?= 60
FUZZ_CFLAGS  := -std=gnu11 -O1 -g -fno-omit-frame-pointer -DCORRAL_DEBUG -I. -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=undefined
FUZZ_TARGETS := elf gpt fat cpio args tree
FUZZ_BIN     := $(FUZZ_TARGETS:%=$(O)/fuzz/fuzz_%)

# What each is made of besides its own file.
FUZZ_FS         := $(fs-y:%.o=fs/%.c)
FUZZ_WITH_gpt   := $(FUZZ_FS)
FUZZ_WITH_fat   := $(FUZZ_FS)
FUZZ_WITH_cpio  := kernel/cpio.c
FUZZ_WITH_tree  := $(addprefix $(LIBFDT)/,fdt.c fdt_addresses.c fdt_ro.c fdt_rw.c fdt_strerror.c fdt_sw.c fdt_wip.c fdt_empty_tree.c fdt_check.c)
FUZZ_FLAGS_elf  := -Itests/fakes/include
FUZZ_FLAGS_args := -Itests/fakes/include
FUZZ_FLAGS_tree := -Itests/fakes/include -isystem $(LIBFDT) -w
FUZZ_NEEDS_elf  := kernel/elf.c kernel/elf.h kernel/layout.h
FUZZ_NEEDS_args := firmware/args.c
FUZZ_NEEDS_tree := firmware/tree.c

# $(1): the name
define fuzz_target
$(O)/fuzz/fuzz_$(1): tests/fuzz/fuzz_$(1).c tests/fuzz/fuzz.h $$(FUZZ_WITH_$(1)) $$(FUZZ_NEEDS_$(1)) $(wildcard fs/*.h mm/*.h lib/*.h) \
		tests/fuzz/fuzz.mk
	$$(call say,FUZZ,$$@)mkdir -p $$(@D) && clang $(FUZZ_CFLAGS) $(UNIT_WARN) $$(FUZZ_FLAGS_$(1)) -o $$@ $$< $$(FUZZ_WITH_$(1))
endef
$(foreach name,$(FUZZ_TARGETS),$(eval $(call fuzz_target,$(name))))

.PHONY: fuzz fuzz-build
fuzz-build: $(FUZZ_BIN)
fuzz: $(FUZZ_BIN) ## Run libFuzzer on executables, partition tables, FAT, cpio, boot arguments and device trees, SECONDS=60 each
	@for name in $(FUZZ_TARGETS); do \
		mkdir -p $(O)/fuzz/corpus_$$name && \
		FUZZ_CORPUS=$(O)/fuzz/corpus_$$name $(O)/fuzz/fuzz_$$name -max_total_time=$(SECONDS) -max_len=65536 -len_control=0 \
			-timeout=20 -rss_limit_mb=1024 -verbosity=0 -print_final_stats=1 -artifact_prefix=$(O)/fuzz/$$name- \
			$(O)/fuzz/corpus_$$name || exit 1; \
	done
