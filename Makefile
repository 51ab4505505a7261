# Corral. `make help` lists the targets.
#
# Variables: MODE=release|debug  O=build (where everything goes)  COMPILER=gcc|clang  V=1 (show commands)
# For images of cards: BOARD=sifive-unmatched|sifive-unleashed  DEV=/dev/...  APPEND="boot arguments"
# For running: HARTS=4 (with ICOUNT: 1)  MEM=1G  ICOUNT=1  FILTER=regex

BOARD    ?= virt
MODE     ?= release
O        ?= build
COMPILER ?= gcc
# Several harts under icount take for ever: each waits for the others' instructions.
HARTS    ?= $(if $(ICOUNT),1,4)
MEM      ?= 1G
PYTHON   ?= /usr/bin/python3
CROSS    ?= riscv64-linux-gnu-

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SECONDARY:
Q := $(if $(V),,@)
# One word for the shell, whatever is in it.
quoted = '$(subst ','\'',$(1))'
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $(patsubst $(O)/%,%,$(2));)

ifeq ($(filter $(MODE),release debug),)
$(error MODE=$(MODE): MODE is release or debug)
endif
CARD_BOARDS := sifive-unmatched sifive-unleashed
ifeq ($(filter virt $(CARD_BOARDS),$(BOARD)),)
$(error BOARD=$(BOARD): BOARD is virt, or for sdcard, spiflash and flash $(subst $() $(), or ,$(CARD_BOARDS)))
endif

# ---- Set-up first: a quick check, which installs what is missing. Not for what needs nothing, nor twice in one run.
NEEDS_NOTHING := help setup clean layers
ifneq ($(filter-out $(NEEDS_NOTHING),$(or $(MAKECMDGOALS),help)),)
ifeq ($(CORRAL_SETUP_DONE)$(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS)))),)
SETUP_STATUS := $(shell scripts/setup >&2; echo $$?)
ifneq ($(SETUP_STATUS),0)
$(error set-up failed, see above; scripts/packages lists what is needed)
endif
export CORRAL_SETUP_DONE := 1
endif
endif

MAKEFLAGS += --no-builtin-rules

# ---- The kernel

LAYERS := lib mm fs firmware drivers board kernel
-include $(LAYERS:%=%/sources.mk)
-include tests/kernel/sources.mk

# One kernel for all boards: what they need is data (board/). Its folder is called after the first of them.
B       := $(O)/virt-$(MODE)$(if $(filter clang,$(COMPILER)),-clang)
GEN     := $(B)/generated
LIBFDT  := build/libfdt
PICOLIBC := /usr/lib/picolibc/riscv64-unknown-elf

ifeq ($(COMPILER),clang)
CC      := clang --target=riscv64-linux-gnu
MARCH   := rv64imac
CC_ONLY := -Wno-unused-command-line-argument
else
CC      := $(CROSS)gcc
MARCH   := rv64imac_zicsr_zifencei
CC_ONLY :=
endif
# Linking is GCC's driver's work for both: clang's has no cross linker here.
LINK    := $(CROSS)gcc
OBJCOPY := $(CROSS)objcopy
NM      := $(CROSS)nm

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
ABI      := -march=$(MARCH) -mabi=lp64 -mcmodel=medany
MODE_release := -DNDEBUG
MODE_debug   := -DCORRAL_DEBUG -fstack-protector-strong
# The compiler's own freestanding headers, then picolibc's; nothing of the host's.
SYSINCLUDE := -nostdinc -isystem $(shell $(CC) -print-file-name=include) -isystem $(PICOLIBC)/include -isystem $(LIBFDT)
KINCLUDE   := -I. -Ifirmware/include -I$(GEN) $(SYSINCLUDE)
KCFLAGS    = -std=gnu11 -O2 -g $(ABI) -ffreestanding -fno-pic -fno-pie -fno-common -fno-stack-protector \
	-fno-omit-frame-pointer -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-strict-aliasing \
	-msmall-data-limit=0 $(MODE_$(MODE)) $(CC_ONLY)
KLDFLAGS   = $(filter-out $(CC_ONLY),-march=rv64imac_zicsr_zifencei -mabi=lp64) -nostdlib -static -no-pie \
	-Wl,--build-id=none -Wl,--gc-sections -Wl,--fatal-warnings -Wl,-z,max-page-size=4096 -Wl,--no-dynamic-linker \
	-Wl,--no-warn-rwx-segments -Wl,--defsym=vfprintf=__i_vfprintf -T linker/kernel.ld
# The -O2 build: the other one wants save and restore routines of libgcc, which has no lp64 here.
KLIBS      = -L$(PICOLIBC)/lib/release/rv64imac/lp64 -l:libc.a

objects    = $(foreach layer,$(LAYERS),$(addprefix $(B)/$(1)/$(layer)/,$($(layer)-y)))
LIBFDT_OBJ := $(addprefix $(B)/libfdt/,fdt.o fdt_addresses.o fdt_ro.o fdt_rw.o fdt_strerror.o fdt_sw.o fdt_wip.o \
	fdt_empty_tree.o fdt_check.o)
KERNEL_OBJ := $(call objects,obj)
KTEST_OBJ  := $(call objects,obj-test) $(addprefix $(B)/obj-test/tests/kernel/,$(tests-kernel-y))

$(B)/obj/%.o: %.c Makefile
	$(call say,CC,$@)mkdir -p $(@D) && $(CC) $(KCFLAGS) $(KINCLUDE) $(WARNINGS) -MMD -MP -c $< -o $@
$(B)/obj/%.o: %.S Makefile | $(GEN)/asm-offsets.h
	$(call say,AS,$@)mkdir -p $(@D) && $(CC) $(KCFLAGS) $(KINCLUDE) -D__ASSEMBLER__ -MMD -MP -c $< -o $@
$(B)/obj-test/%.o: %.c Makefile
	$(call say,CC,$@)mkdir -p $(@D) && $(CC) $(KCFLAGS) -DCORRAL_KERNEL_TESTS $(KINCLUDE) $(WARNINGS) -MMD -MP -c $< -o $@
$(B)/obj-test/%.o: %.S Makefile | $(GEN)/asm-offsets.h
	$(call say,AS,$@)mkdir -p $(@D) && $(CC) $(KCFLAGS) -DCORRAL_KERNEL_TESTS $(KINCLUDE) -MMD -MP -c $< -o $@
# Not our code: built by our flags, judged by its own project's warnings.
$(B)/libfdt/%.o: $(LIBFDT)/%.c Makefile
	$(call say,CC,$@)mkdir -p $(@D) && $(CC) $(KCFLAGS) $(SYSINCLUDE) -w -MMD -MP -c $< -o $@

# What assembly must know of structs: firmware/asm-offsets.c says `->NAME value` in its assembly output.
$(GEN)/asm-offsets.s: firmware/asm-offsets.c Makefile
	$(call say,GEN,$@)mkdir -p $(@D) && $(CC) $(KCFLAGS) $(KINCLUDE) $(WARNINGS) -MMD -MP -S $< -o $@
$(GEN)/asm-offsets.h: $(GEN)/asm-offsets.s
	$(call say,GEN,$@)sed -n 's/^.*->\([A-Za-z0-9_]*\) [$$#]*\(-*[0-9]*\).*/#define \1 \2/p' $< > $@

# Two links: the first without symbols gives their addresses, the second carries them (firmware/ksyms.h), behind all text,
# so that no function moves; which is checked.
# $(1): ELF, $(2): objects, $(3): Image
define kernel_link
$(1:.elf=-ksyms0.S):
	$$(Q)mkdir -p $$(@D) && scripts/mksyms.py make $(NM) - $$@
$(1:.elf=-pass1.elf): $(2) $(LIBFDT_OBJ) $(1:.elf=-ksyms0.o) linker/kernel.ld Makefile $(wildcard */sources.mk tests/kernel/sources.mk)
	$$(call say,LD,$$@)$$(LINK) $$(KLDFLAGS) -o $$@ $$(filter %.o,$$^) $$(KLIBS)
$(1:.elf=-ksyms.S): $(1:.elf=-pass1.elf) scripts/mksyms.py
	$$(call say,KSYMS,$$@)scripts/mksyms.py make $(NM) $$< $$@
$(1): $(2) $(LIBFDT_OBJ) $(1:.elf=-ksyms.o) linker/kernel.ld
	$$(call say,LD,$$@)$$(LINK) $$(KLDFLAGS) -Wl,-Map=$$@.map -o $$@ $$(filter %.o,$$^) $$(KLIBS) && \
		scripts/mksyms.py check $(NM) $(1:.elf=-pass1.elf) $$@ && $(NM) -n $$@ > $$(@:.elf=.symbols)
$(3): $(1)
	$$(call say,IMAGE,$$@)$(OBJCOPY) -O binary $$< $$@
endef
$(B)/%.o: $(B)/%.S
	$(call say,AS,$@)$(CC) $(KCFLAGS) -c $< -o $@
$(eval $(call kernel_link,$(B)/kernel.elf,$(KERNEL_OBJ),$(B)/Image))
$(eval $(call kernel_link,$(B)/kernel-test.elf,$(KTEST_OBJ),$(B)/Image-test))

# ---- User programs: plain Linux C. user/<name>/*.c is one program; each tests/user/*.c is one of its own.

U        := $(O)/user
UCC      := $(CROSS)gcc
UCFLAGS  := -std=gnu11 -O2 -g -march=rv64gc -mabi=lp64d -static -pthread -D_GNU_SOURCE -Wall -Wextra -Werror
# Tests pass addresses that the compiler rightly mistrusts.
UTESTWARN := -Wno-stringop-overread -Wno-stringop-overflow -Wno-array-bounds -Wno-nonnull
PROGRAMS := $(sort $(patsubst user/%/,%,$(dir $(wildcard user/*/*.c))))
USER_BIN := $(PROGRAMS:%=$(U)/%)
TEST_BIN := $(patsubst %.c,$(U)/tests/%,$(notdir $(wildcard tests/user/*.c tests/system/*.c)))

$(U)/obj/%.o: %.c Makefile
	$(call say,UCC,$@)mkdir -p $(@D) && $(UCC) $(UCFLAGS) -I. -MMD -MP -c $< -o $@
# $(1): the program
define user_link
$(U)/$(1): $(patsubst %.c,$(U)/obj/%.o,$(wildcard user/$(1)/*.c))
	$$(call say,ULD,$$@)$(UCC) $(UCFLAGS) -o $$@ $$(filter %.o,$$^)
endef
$(foreach program,$(PROGRAMS),$(eval $(call user_link,$(program))))
vpath %.c tests/user tests/system
$(U)/tests/%: %.c Makefile
	$(call say,UCC,$@)mkdir -p $(@D) && $(UCC) $(UCFLAGS) $(UTESTWARN) -Itests/user -I. -MMD -MP -MF $@.d -o $@ $<

$(O)/initramfs.cpio: $(USER_BIN) scripts/mkinitramfs $(wildcard scripts/corral_lib/*.py)
	$(call say,CPIO,$@)scripts/mkinitramfs $@ $(foreach bin,$(USER_BIN),$(bin):/bin/$(notdir $(bin)))

-include $(wildcard tests/unit/unit.mk tests/fuzz/fuzz.mk tests/plugin/plugin.mk tests/models/models.mk tests/proofs/proofs.mk)

# ---- Targets for people

.PHONY: chains dist sdcard spiflash flash needs-board help setup all image user initramfs user-tests bench compare report sweep run shell debug test unit unit-build coverage kernel-test user-test system-test \
	conformance perf perf-guard torture soak exhaust torture-defects exercises documents \
	lint layers format format-check cppcheck sparse tidy clang-build stackuse clean compile_commands.json ktest-image FORCE

help: ## This list
	@echo "Corral: make [TARGET] [VARIABLE=value]..."; echo
	@awk -F ':.*## ' '/^[a-z_.-]+:.*## / { printf "  %-22s %s\n", $$1, $$2 }' Makefile
	@echo; echo "Variables (with their values now):"
	@printf '  %-22s %s\n' \
		"HARTS=$(HARTS) MEM=$(MEM)" "the machine for bench, run, debug" \
		"ICOUNT=1 FILTER=regex" "for bench: count instructions, on one hart; only some benchmarks" \
		"MODE=$(MODE)" "release or debug: asserts, lock ranks, audits" \
		"BOARD=$(BOARD) O=$(O)" "the board, for images; where everything is built" \
		"V=1" "show the commands"
	@echo; echo "Running programs of your own: scripts/corral run --help"

setup: ## Install what is missing: Debian packages, libfdt's source
	@scripts/setup && echo "setup: all is there"

all: image user initramfs ## Build the kernel, the user programs and their initramfs

image: layers $(B)/Image ## Build the kernel alone: build/virt-release/Image

user: $(USER_BIN) ## Build the programs in user/
user-tests: $(TEST_BIN)
initramfs: $(O)/initramfs.cpio

bench: all ## Run the benchmark on HARTS and MEM: a table, and build/results/bench.json
	@scripts/bench --build $(O) --kernel $(B)/Image --harts $(HARTS) --mem $(MEM) $(if $(ICOUNT),--icount) $(if $(FILTER),--filter $(call quoted,$(FILTER)))

compare: all perf-programs ## Corral and Linux 6.12 side by side: a table, and build/results/compare.json; HARTS="2 4" FILTER= PARTS= shorten it
	@scripts/compare --build $(O) --kernel $(B)/Image --mem $(MEM) $(if $(findstring command,$(origin HARTS)),--harts '$(HARTS)') \
		$(if $(FILTER),--filter $(call quoted,$(FILTER))) $(PARTS)

report: all perf-programs ## One page of what was measured, with plots: build/results/report.html; runs in a short form what is missing; PLOTS=docs/plots: as files, too
	@scripts/report --build $(O) --kernel $(B)/Image $(if $(PLOTS),--svg $(call quoted,$(PLOTS)))
sweep: all perf-programs ## KNOB=tlb VALUES=ipi,rfence: the benchmark under each value of a boot argument (docs/boot.md): a table, and for make report
	$(if $(and $(KNOB),$(VALUES)),,$(error this needs KNOB= and VALUES=, as in make sweep KNOB=tlb VALUES=ipi,rfence,broadcast))
	@scripts/sweep --build $(O) --kernel $(B)/Image $(if $(findstring command,$(origin HARTS)),--harts $(HARTS)) \
		$(if $(FILTER),--filter $(call quoted,$(FILTER))) $(KNOB) $(VALUES)

run: all ## An example: the benchmark's null system call, by scripts/corral
	scripts/corral run --build $(O) --kernel $(B)/Image --harts $(HARTS) --mem $(MEM) -- bench --benchmark_filter=null_syscall

shell: image user ## A shell on the machine: busybox of Debian, fetched once
	@scripts/corral shell --build $(O) --kernel $(B)/Image --harts $(HARTS) --mem $(MEM) || [ $$? -lt 124 ]

debug: ## Start the debug kernel, standing still, and gdb on it, with commands for its memory; PROGRAM="./hello arg"
	$(Q)$(MAKE) MODE=debug all
	@scripts/debug --build $(O) --harts $(HARTS) --mem $(MEM) -- $(or $(PROGRAM),bench)

test: ## Run all tests; the last line counts them
	@scripts/test --build $(O) unit kernel user system
unit: ## Run the tests of mm/ on this machine, under sanitizers; TEST="cow share": only those
	$(if $(TEST),@$(MAKE) --no-print-directory UNIT_TESTS=$(call quoted,$(TEST)) UNIT_TSAN_TESTS= unit-run,@scripts/test --build $(O) unit)
coverage: coverage-build ## Lines and branches of mm/ that the host tests reach; fails below 95 % of branches, or if one is missed that is not explained; MISSED=FILE lists these
	@scripts/coverage --build $(O) $(if $(MISSED),--missed $(call quoted,$(MISSED)))
kernel-test: ## Run the suites inside the kernel, on 1, 2, 4 and 8 harts
	@scripts/test --build $(O) kernel
user-test: ## Run the programs in tests/user on Corral
	@scripts/test --build $(O) user
system-test: ## Boot the matrix of harts and memory, and break things
	@scripts/test --build $(O) system
chains: ## All that is known of boards: chains of firmware, images, trees, cards; tests/user on a U74 as QEMU 10 plays it, and on sifive_u: an hour
	@scripts/test --build $(O) chains user-u74 user-sifive_u
ktest-image: $(B)/Image-test

dist: image user ## A tarball that needs nothing but QEMU: build/corral-VERSION.tar.gz
	@scripts/dist --build $(O) --kernel $(B)/Image

sdcard: needs-board image initramfs ## BOARD=... An SD card image that boots the benchmark: build/BOARD/sdcard.img
	@scripts/mkcard sdcard $(BOARD) $(O)/$(BOARD)/sdcard.img --kernel $(B)/Image --initramfs $(O)/initramfs.cpio \
		$(if $(APPEND),--append $(call quoted,$(APPEND)))
spiflash: needs-board ## BOARD=... An image of the SPI flash with SPL and U-Boot, and how to write it
	@scripts/mkcard spiflash $(BOARD) $(O)/$(BOARD)/spiflash.img
flash: needs-board ## BOARD=... DEV=/dev/... Write sdcard.img to a card, after asking, and compare
	@scripts/flash $(O)/$(BOARD)/sdcard.img $(or $(DEV),--list)
needs-board:
	$(if $(filter virt,$(BOARD)),$(error this needs BOARD=$(subst $() $(), or BOARD=,$(CARD_BOARDS))))

conformance: image user-tests ## Compare with Linux 6.12 in the same QEMU, on HARTS="1 2 4 8"; the first time it fetches that
	@scripts/conformance --build $(O) --kernel $(B)/Image --harts '$(HARTS)' $(if $(FILTER),--only $(call quoted,$(FILTER)))

perf: image user perf-programs ## Measure all that tests/perf/reach.toml asks for, Linux beside it: an hour; PARTS="counts lines" for some
	@scripts/perf --build $(O) --kernel $(B)/Image $(PARTS)
perf-guard: image user perf-programs ## Fail where a count of instructions has become worse
	@scripts/perf --build $(O) --kernel $(B)/Image guard

torture: ## Try to break the debug kernel for MINUTES=10: storms, delays, failing allocations (docs/reliability.md)
	$(Q)$(MAKE) --no-print-directory MODE=debug image user-tests perf-programs
	@scripts/torture --build $(O) run --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))
exhaust: ## Memory exhausted ROUNDS=1000 times: exactly those are ended whom the rule names, and all memory comes back
	$(Q)$(MAKE) --no-print-directory MODE=debug image user-tests
	@scripts/torture --build $(O) exhaust --rounds $(or $(ROUNDS),1000) $(if $(findstring command,$(origin HARTS)),--harts $(HARTS)) $(if $(SEED),--seed $(SEED))
soak: ## Everything together for MINUTES=60 on 8 harts: not a frame may be lost, nor become anything slower
	$(Q)$(MAKE) --no-print-directory MODE=debug image user-tests
	@scripts/torture --build $(O) soak --minutes $(or $(MINUTES),60) $(if $(SEED),--seed $(SEED))
torture-defects: ## Put known defects into a copy of the kernel: the shadow TLB must report each
	$(Q)$(MAKE) --no-print-directory MODE=debug image user-tests perf-programs
	@scripts/torture --build $(O) defects

exercises: ## Do the exercises of docs/teaching.md in a copy of the tree; N=3: that one
	@scripts/exercises --build $(O) $(N)

documents: ## Run every command of every document, in a fresh clone; what takes hours is shortened
	$(Q)$(MAKE) --no-print-directory all
	CORRAL_LONG=1 CORRAL_BUILD=$(abspath $(O)) $(PYTHON) -m pytest -q -rs -s -p no:cacheprovider tests/system/test_documents.py

lint: ## All checks of the source: format, layers, cppcheck, sparse, clang-tidy, a build by clang, depth of stacks
	@O=$(O) scripts/lint

layers: ## Check who includes whom (docs/architecture.md)
	@scripts/layers.py

CLANG_FORMATTED = $(wildcard $(foreach dir,lib mm fs firmware firmware/include drivers board kernel $(wildcard user/*) \
	$(wildcard tests/*) $(wildcard tests/*/*),$(dir)/*.[ch]))
format: ## Format the C files in place
	$(Q)clang-format -i $(CLANG_FORMATTED)
format-check:
	$(Q)clang-format --dry-run -Werror $(CLANG_FORMATTED)

KERNEL_C = $(wildcard $(foreach layer,$(LAYERS),$(patsubst %.o,$(layer)/%.c,$($(layer)-y))))
cppcheck:
	$(Q)cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr --enable=warning,portability -j2 \
		--suppress=missingIncludeSystem --suppressions-list=scripts/cppcheck.suppress \
		-D__riscv=1 -D__riscv_xlen=64 -D__GNUC__=12 -I. -Ifirmware/include $(KERNEL_C)
# sparse does not know _Atomic(type), and thinks it is at home.
sparse: $(GEN)/asm-offsets.h
	$(Q)fail=0; for file in $(KERNEL_C); do \
		sparse -m64 -Wsparse-error -Wno-decl '-D_Atomic(type)=type' -U__x86_64__ -U__x86_64 -D__riscv=1 \
			-D__riscv_xlen=64 $(MODE_$(MODE)) $(KINCLUDE) -std=gnu11 $$file || fail=1; done; exit $$fail
tidy: compile_commands.json
	$(Q)printf '%s\n' $(KERNEL_C) | xargs -P 2 -n 2 clang-tidy --quiet -p $(O) 2>/dev/null
clang-build:
	$(Q)$(MAKE) COMPILER=clang MODE=debug image
# By what the linked kernels do, and, where they call through pointers, by the types that clang sees.
ifeq ($(COMPILER),clang)
stackuse: $(GEN)/asm-offsets.h
	$(Q)scripts/stackuse --tools $(CROSS) --cc '$(CC) $(KCFLAGS) $(KINCLUDE)' $(if $(V),-v) \
		--kernel $(O)/virt-debug/kernel.elf --kernel $(O)/virt-release/kernel.elf $(KERNEL_C)
else
stackuse: ## How deep the kernel's stacks get at most, debug and release; V=1 for the chains. Fails where that is too deep
	$(Q)$(MAKE) --no-print-directory MODE=debug image && $(MAKE) --no-print-directory MODE=release image && \
		$(MAKE) --no-print-directory COMPILER=clang MODE=debug stackuse
endif

# By clang's flags whatever we build with: clangd and clang-tidy are clang.
compile_commands.json: ## Write build/compile_commands.json, for editors and clang-tidy
ifeq ($(COMPILER),clang)
compile_commands.json: $(GEN)/asm-offsets.h
	$(Q)scripts/compile_commands.py $(O)/compile_commands.json '$(CC) $(KCFLAGS) $(KINCLUDE) -Wall -Wextra' $(KERNEL_C)
else
	$(Q)$(MAKE) --no-print-directory COMPILER=clang compile_commands.json
endif

clean: ## Remove what was built; keep what was fetched
	rm -rf $(filter-out $(O)/libfdt $(O)/debian,$(wildcard $(O)/*))

-include $(shell find $(B) $(U) -name '*.d' 2>/dev/null)
