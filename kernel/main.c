/*
 * From a machine with memory and a console to its first program, and from that program's end to power-off.
 *
 * The boot hart runs kernel_main as the scheduler's thread "main", which sleeps while programs run. What a user can mend
 * (arguments, the initramfs, the first program) ends the machine with one line and status 125.
 */
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "drivers/console.h"
#include "drivers/plic.h"
#include "firmware/boot.h"
#include "firmware/hart.h"
#include "firmware/hw.h"
#include "firmware/log.h"
#include "kernel/disk.h"
#include "kernel/blockdev.h"
#include "kernel/cache.h"
#include "kernel/exec.h"
#include "kernel/fail.h"
#include "kernel/file.h"
#include "kernel/fsdisk.h"
#include "kernel/futex.h"
#include "kernel/kthread.h"
#include "kernel/mount.h"
#include "kernel/proc_text.h"
#include "kernel/process.h"
#include "kernel/quiesce.h"
#include "kernel/random.h"
#include "kernel/sched.h"
#include "kernel/spare.h"
#include "kernel/shm.h"
#include "kernel/signal.h"
#include "kernel/syscall.h"
#include "kernel/touch.h"
#include "kernel/trace.h"
#include "kernel/watchdog.h"
#include "lib/errno.h"
#include "mm/cleared.h"
#include "mm/coremap.h"
#include "mm/slab.h"
#include "mm/space.h"

#define STATUS_MACHINE_FAILED 125U
#define DEFAULT_INIT	      "/init"

#define FAULT_AROUND 16 /* pages, as Linux's */
#define BATCH_MAX    65536U

struct options {
	const char *init;
	bool tlb_ipi, broadcast, no_asids;
	uint64_t batch;
	enum fork_policy fork;
	unsigned around, around_anon;
	bool zero_on_demand;
	bool framed;
	bool log_enosys;
	bool audit;
};

/* The first program's environment: a few defaults, then unknown NAME=value boot arguments, as on Linux. */
static struct {
	char **words;
	unsigned count;
	bool apart; /* the log is not on the program's console */
} environment;

/* ---- Boot arguments. */

/* Which of two words a boot argument is; absent: the first. */
static bool either(const char *key, const char *first, const char *second)
{
	const char *value = boot_arg(key);

	if (value == NULL || strcmp(value, first) == 0)
		return false;
	if (strcmp(value, second) != 0)
		boot_fail("boot argument %s=%s: must be %s or %s", key, value, first, second);
	return true;
}

static enum fork_policy read_fork_policy(void)
{
	static const char *const names[] = {
		[FORK_EAGER] = "eager", [FORK_COW] = "cow", [FORK_TABLES] = "tables", [FORK_ALL_TABLES] = "all"
	};
	const char *value = boot_arg("fork");

	if (value == NULL)
		return FORK_TABLES;
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(value, names[i]) == 0)
			return (enum fork_policy)i;
	boot_fail("boot argument fork=%s: must be eager, cow, tables or all", value);
}

/* Pages. */
static uint64_t read_batch(void)
{
	const char *value = boot_arg("batch"), *digit = value;
	uint64_t pages = 0;

	if (value == NULL || strcmp(value, "all") == 0)
		return UINT64_MAX;
	while (*digit >= '0' && *digit <= '9' && pages <= BATCH_MAX)
		pages = pages * 10 + (uint64_t)(*digit++ - '0');
	if (*digit != '\0' || pages == 0 || pages > BATCH_MAX)
		boot_fail("boot argument batch=%s: must be all, or pages, 1 to %u", value, BATCH_MAX);
	return pages;
}

static void read_shootdown(struct options *options)
{
	const char *value = boot_arg("tlb");

	options->tlb_ipi = value == NULL || strcmp(value, "rfence") != 0;
	options->broadcast = value != NULL && strcmp(value, "broadcast") == 0;
	if (options->tlb_ipi && !options->broadcast && value != NULL && strcmp(value, "ipi") != 0)
		boot_fail("boot argument tlb=%s: must be ipi, rfence or broadcast", value);
	options->no_asids = either("asid", "on", "off");
	options->batch = read_batch();
}

/* A power of two, at most FAULT_AROUND_MAX. */
static unsigned read_group(const char *key, unsigned absent)
{
	const char *value = boot_arg(key);
	char text[8];

	if (value == NULL)
		return absent;
	for (unsigned n = 1; n <= FAULT_AROUND_MAX; n *= 2) {
		snprintf(text, sizeof(text), "%u", n);
		if (strcmp(value, text) == 0)
			return n;
	}
	boot_fail("boot argument %s=%s: must be a power of two, at most %u", key, value, FAULT_AROUND_MAX);
}

static struct options read_options(void)
{
	struct options options = { .init = boot_arg("init") };
	const char *debug = boot_arg("debug");

	if (options.init == NULL)
		options.init = DEFAULT_INIT;
	else if (options.init[0] != '/')
		boot_fail("boot argument init=%s: must be an absolute path", options.init);
	read_shootdown(&options);
	options.fork = read_fork_policy();
	options.around = read_group("faultaround", FAULT_AROUND);
	options.zero_on_demand = either("zero", "pool", "demand");
	options.around_anon = read_group("faultaround-anon", 1);
	options.framed = either("console", "plain", "mux");
	options.audit = either("audit", "off", "on");
	fail_boot(boot_arg("fail"));
	watchdog_init(boot_arg("watchdog"));
	if (debug != NULL && strcmp(debug, "enosys") != 0)
		boot_fail("boot argument debug=%s: must be enosys", debug);
	options.log_enosys = debug != NULL;
	machine_power_stops(either("end", "restart", "stop"));
	(void)boot_arg("tty");	 /* the terminal's, which asks for it later */
	(void)boot_arg("mount"); /* mount.c's */
	return options;
}

static void count_word(const char *word)
{
	(void)word;
	environment.count++;
}

/* To whoever started the program, if the log goes elsewhere. */
static void tell(const char *line)
{
	if (!environment.apart)
		return;
	console_write_sync(CONSOLE_ERR, "corral: ", strlen("corral: "));
	console_write_sync(CONSOLE_ERR, line, strlen(line));
	console_write_sync(CONSOLE_ERR, "\n", 1);
}

static void take_unknown(const char *word)
{
	char line[160];

	if (strchr(word, '=') != NULL) {
		environment.words[environment.count++] = (char *)(uintptr_t)word;
		return;
	}
	snprintf(line, sizeof(line), "unknown boot argument %.100s: ignored", word);
	klog("%s", line);
	tell(line);
}

/* Whether a boot argument names the variable of this default. */
static bool is_given(const char *setting)
{
	size_t name = (size_t)(strchr(setting, '=') - setting) + 1;

	for (unsigned i = 0; i < environment.count; i++)
		if (strncmp(environment.words[i], setting, name) == 0)
			return true;
	return false;
}

/* After every known argument was asked for. */
static void make_environment(void)
{
	static const char *const defaults[] = { "PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/", "TERM=linux" };

	boot_args_unknown(count_word);
	environment.words = kalloc((environment.count + ARRAY_LEN(defaults) + 1) * sizeof(char *));
	CHECK(environment.words != NULL);
	environment.count = 0;
	boot_args_unknown(take_unknown);
	for (unsigned i = 0; i < ARRAY_LEN(defaults); i++)
		if (!is_given(defaults[i]))
			environment.words[environment.count++] = (char *)(uintptr_t)defaults[i];
}

/* ---- Starting. */

static void start_random(const void *fdt)
{
	int chosen = fdt_path_offset(fdt, "/chosen");
	int bytes = 0;
	const void *seed = chosen < 0 ? NULL : fdt_getprop(fdt, chosen, "rng-seed", &bytes);

	random_init(seed, seed == NULL ? 0 : (uint64_t)bytes);
}

static void start_files(const struct boot_info *info)
{
	int error = files_init(info->initrd, info->initrd_bytes);

	if (error == -ENOMEM)
		boot_fail("initramfs: not enough memory for it");
	if (error != 0)
		boot_fail("initramfs: cannot be used");
	mounts_init(tell);
}

static const char *reason(int error, const char *why)
{
	if (why != NULL)
		return why;
	switch (error) {
	case -ENOENT:
		return "no such file in the initramfs";
	case -EACCES:
		return "not an executable file";
	case -ENOTDIR:
		return "a part of its path is not a directory";
	case -ELOOP:
		return "too many symbolic links";
	case -E2BIG:
		return "its arguments are too long";
	case -ENOMEM:
		return "not enough memory";
	default:
		return "cannot be started";
	}
}

static char **first_arguments(const char *init)
{
	unsigned count;
	char **rest = boot_program_args(&count);
	char **argv = kalloc((count + 2) * sizeof(char *));

	CHECK(argv != NULL);
	argv[0] = (char *)(uintptr_t)init;
	for (unsigned i = 0; i < count; i++)
		argv[i + 1] = rest[i];
	return argv;
}

static void start_first(const struct boot_info *info, const char *init)
{
	char **argv = first_arguments(init);
	const char *why;
	int error;

	if (info->initrd == NULL)
		boot_fail("no initramfs: there is no program to run (QEMU: -initrd)");
	error = exec_first(init, argv, environment.words, &why);
	kfree(argv);
	if (error != 0)
		boot_fail("cannot run %s: %s (error %d)", init, reason(error, why), -error);
}

/* ---- Ending. */

static void say(const char *line)
{
	klog("audit: %s", line);
}

static uint64_t settled_free_frames(void)
{
	spares_drain();
	slab_drain();
	coremap_drain();
	return frames_free();
}

/* Whether all is as it was before there were files and programs. */
static bool audit(uint64_t free_before)
{
	uint64_t free_after;
	unsigned violations;

	files_end();
	shm_end();
	quiesce_begin();
	free_after = settled_free_frames();
	violations = mm_audit(say);
	quiesce_end();
	if (free_after != free_before)
		klog("audit: %ld frames were not given back (%lu free before the first program, %lu now)",
		     (long)(free_before - free_after), (unsigned long)free_before, (unsigned long)free_after);
	if (violations != 0)
		klog("audit: %u violations", violations);
	if (violations != 0 || free_after != free_before)
		return false;
	klog("audit: ok, %lu frames free as before the first program", (unsigned long)free_after);
	return true;
}

static unsigned exit_status(int status)
{
	unsigned signo = (unsigned)status & 0x7f;

	return signo != 0 ? 128 + signo : (unsigned)status >> 8 & 0xff;
}

#ifdef CORRAL_KERNEL_TESTS
int kernel_tests_run(void); /* tests/kernel: in place of the first program */
#else
static int kernel_tests_run(void)
{
	return -ENOSYS;
}
#endif

/* Runs the first program, or the suites in a kernel that has them; the status for whoever started the machine. */
static unsigned run(const struct boot_info *info, const struct options *options, uint64_t free_before)
{
	int tests = kernel_tests_run();
	unsigned status;

	if (tests >= 0)
		return (unsigned)tests;
	start_first(info, options->init);
	fail_begin();
	status = exit_status(process_wait_first());
	process_end_all();
	mounts_end();
	blockdev_end();
	if (options->audit && !audit(free_before))
		status = STATUS_MACHINE_FAILED;
	return status;
}

void kernel_main(const struct boot_info *info)
{
	struct options options;
	uint64_t free_before;
	unsigned status;

	boot_args_init(info->bootargs);
	options = read_options();
	coremap_init(info->ram, info->ram_count, info->reserved, info->reserved_count);
	if (options.no_asids)
		hw_forget_asids();
	mm_init(options.tlb_ipi);
	space_set_fork_policy(options.fork);
	space_set_fault_around(options.around, options.around_anon);
	if (options.around_anon != 1)
		klog("faultaround-anon=%u: a write to untouched memory may take %u KiB more than it needs",
		     options.around_anon, (options.around_anon - 1) * (unsigned)(PAGE_SIZE / 1024));
	trace_init();
	sched_init();
	kthread_init();
	touch_init();
	process_init();
	futex_init();
	syscall_init(options.log_enosys);
	start_random(info->fdt);
	exec_init(info->isa);
	proc_caches_log();
	plic_probe(info->fdt);
	plic_init_hart();
	console_probe(info->fdt, options.framed);
	disk_init(info->fdt, info->initrd, info->initrd_bytes);
	cache_init();
	if (sigframe_init() != 0)
		boot_fail("not enough memory to start");
	environment.apart = options.framed;
	make_environment();
	harts_start(sched_hart_main);
	plic_spread(harts_online());
	space_set_shootdown(options.broadcast ? harts_online() : 0, options.batch);
	fsdisk_partitions();
	free_before = settled_free_frames();
	cleared_enable(!options.zero_on_demand);
	start_files(info);
	status = run(info, &options, free_before);
	trace_dump();
	console_mark_exit(status);
	console_flush();
	machine_power_off(status);
}
