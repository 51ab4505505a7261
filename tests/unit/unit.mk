# Host tests: mm/ and lib/ built natively with the fakes, one cmocka program a module. Included by the top Makefile.
#
#   make unit-build     build all           make unit-run     build and run all; counts in $(O)/results/unit.txt
#   UNIT_COMPILER=gcc|clang   UNIT_STEPS=100 (percent)   UNIT_SEED=n   UNIT_ONLY=part of a test's name
#
# asan: ASan and UBSan, all tests. tsan: those that run harts as threads. coverage: gcov's counters, those that are of mm/ alone
# (scripts/coverage; one compiler's, and each condition by itself: no optimisation).

UNIT_COMPILER ?= $(if $(filter clang,$(COMPILER)),clang,gcc)
UNIT_CFLAGS   := -std=gnu11 -O1 -g -fno-omit-frame-pointer -pthread -DCORRAL_DEBUG -I. -Itests/fakes/include -isystem $(LIBFDT)
UNIT_WARN     := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror \
	$(if $(filter clang,$(UNIT_COMPILER)),-Wno-pass-failed) # its sanitizers keep it from unrolling
UNIT_asan     := -fsanitize=address,undefined -fno-sanitize-recover=undefined
UNIT_tsan     := -fsanitize=thread -include tests/fakes/tsan_fence.h
UNIT_coverage := --coverage -fprofile-update=atomic -O0
UNIT_WRAP     := -Wl,--wrap=frame_alloc,--wrap=frame_alloc_zeroed,--wrap=frame_alloc_block,--wrap=kalloc

UNIT_TESTS      := runtime audit locked clone sparse rare rare_fork transfer write_race backed rules short forced runs tall coremap slab lock watch pte mapping object cache cache_storm evict space fault around quick order trace cleared cow fork_hot share move tlb tlb_race races oom user model concurrent \
	siblings args cpio line gpt fat fat_large fat_random fat_crash
UNIT_TSAN_TESTS := concurrent cache_storm evict siblings
UNIT_COMMON     := lib/lock.o lib/watch.o $(addprefix mm/,$(mm-y)) tests/fakes/hw.o tests/fakes/tlb.o tests/fakes/alloc.o \
	tests/unit/unit.o tests/unit/unit_mm.o tests/unit/threads.o tests/unit/store.o tests/unit/model.o tests/unit/model_ops.o

# What some tests need beyond that.
UNIT_TESTS += virtio virtio_bad
UNIT_EXTRA_virtio := $(addprefix drivers/,block.o virtio_ring.o virtio_mmio.o virtio_blk.o) tests/unit/fake_virtio.o tests/unit/virtio_rig.o
UNIT_EXTRA_virtio_bad := $(UNIT_EXTRA_virtio)
UNIT_TESTS += plic
UNIT_EXTRA_plic := drivers/plic.o
UNIT_TESTS += sd spi uart console
UNIT_EXTRA_sd := $(addprefix drivers/,block.o sd_link.o sd_card.o sd_disk.o) tests/unit/fake_card.o
UNIT_EXTRA_spi := drivers/sifive_spi.o
UNIT_EXTRA_console := drivers/console.o
UNIT_EXTRA_uart := $(addprefix drivers/,ns16550a.o sifive_uart.o)
UNIT_TESTS += tally tree pmu
UNIT_EXTRA_pmu := firmware/pmu.o
UNIT_EXTRA_tree := firmware/tree.o firmware/caches.o firmware/gpio.o drivers/dt.o drivers/clock.o drivers/plic_probe.o $(addprefix libfdt/,fdt.o fdt_ro.o fdt_addresses.o fdt_strerror.o fdt_check.o fdt_rw.o fdt_wip.o)
UNIT_EXTRA_runtime := lib/runtime.o
UNIT_EXTRA_args := firmware/args.o
UNIT_EXTRA_cpio := kernel/cpio.o
UNIT_EXTRA_line := kernel/line.o
UNIT_FS := $(addprefix fs/,$(fs-y)) tests/unit/fs.o tests/unit/fs_check.o
UNIT_EXTRA_gpt := $(UNIT_FS)
UNIT_EXTRA_fat := $(UNIT_FS)
UNIT_EXTRA_fat_large := $(UNIT_FS)
UNIT_EXTRA_fat_random := $(UNIT_FS) tests/unit/fs_model.o
UNIT_EXTRA_fat_crash := $(UNIT_FS) tests/unit/fs_model.o

UNIT_BIN := $(UNIT_TESTS:%=$(O)/unit/asan/test_%) $(UNIT_TSAN_TESTS:%=$(O)/unit/tsan/test_%)
UNIT_COVERAGE := $(foreach test,$(UNIT_TESTS),$(if $(UNIT_EXTRA_$(test)),,$(O)/unit/coverage/test_$(test)))
UNIT_RESULT := $(UNIT_BIN:$(O)/unit/%=$(O)/results/unit/%.txt)

# $(1): asan, tsan or coverage
define unit_variant
$(O)/unit/$(1)/obj/%.o: %.c tests/unit/unit.mk
	$$(call say,UNITCC,$$@)mkdir -p $$(@D) && $(UNIT_COMPILER) $(UNIT_CFLAGS) $(UNIT_$(1)) $(UNIT_WARN) -MMD -MP -c $$< -o $$@
$(O)/unit/$(1)/obj/libfdt/%.o: $(LIBFDT)/%.c tests/unit/unit.mk
	$$(call say,UNITCC,$$@)mkdir -p $$(@D) && $(UNIT_COMPILER) $(UNIT_CFLAGS) $(UNIT_$(1)) -w -c $$< -o $$@
$(O)/unit/$(1)/libmm.a: $(UNIT_COMMON:%=$(O)/unit/$(1)/obj/%)
	$$(call say,UNITAR,$$@)rm -f $$@ && ar rcs $$@ $$^
$(foreach test,$(UNIT_TESTS),$(O)/unit/$(1)/test_$(test): $(UNIT_EXTRA_$(test):%=$(O)/unit/$(1)/obj/%)
)
$(O)/unit/$(1)/test_%: $(O)/unit/$(1)/obj/tests/unit/test_%.o $(O)/unit/$(1)/libmm.a
	$$(call say,UNITLD,$$@)$(UNIT_COMPILER) -pthread $(UNIT_$(1)) $(UNIT_WRAP) -o $$@ $$(filter %.o,$$^) $$(filter %.a,$$^) -lcmocka
endef
$(eval $(call unit_variant,asan))
$(eval $(call unit_variant,tsan))
$(eval $(call unit_variant,coverage))
$(UNIT_COVERAGE): UNIT_COMPILER := gcc

.PHONY: unit-build unit-run coverage-build
unit-build: $(UNIT_BIN)
coverage-build: $(UNIT_COVERAGE)

# A failing program does not stop the others: its counts say so at the end. One that left no counts died: one failure.
$(O)/results/unit/%.txt: $(O)/unit/% FORCE
	@mkdir -p $(@D) && rm -f $@ && echo "---- $*" && UNIT_RESULTS=$@ $< || true; [ -f $@ ] || echo "0 1 0" > $@

unit-run: $(UNIT_RESULT)
	@cat $^ | awk '{ p += $$1; f += $$2; s += $$3 } END { print p, f, s; exit f != 0 }' > $(O)/results/unit.txt; status=$$?; \
		awk '{ printf "unit: %d passed, %d failed, %d skipped\n", $$1, $$2, $$3 }' $(O)/results/unit.txt; exit $$status

-include $(shell find $(O)/unit -name '*.d' 2>/dev/null)
