/*
 * A QEMU plugin that stops harts for a moment, at random, where another hart may come between: qemu-system-riscv64 -plugin
 * delay.so,seed=N[,one-in=N][,most=MICROSECONDS][,out=FILE].
 *
 * The places are the kernel's and the firmware's atomic instructions, fences of memory and of translations, csr writes of satp and of what
 * interrupts are pending, and sret: each lock, mailbox, epoch, IPI, answer and change of an entry has one. One in 500 of them takes up to 400
 * microseconds, on that hart alone, so that races whose windows are a few instructions long are hit within seconds, and IPIs and answers
 * come late. With one seed each hart draws the same numbers, which is not the same run: the harts are threads of this machine.
 * FILE gets how often each hart was stopped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/plugin/qemu.h"

#define HARTS 64
#define SRET  0x10200073u

static struct {
	FILE *out;
	uint64_t one_in, most;
	struct {
		uint64_t random, stops;
	} __attribute__((aligned(64))) hart[HARTS]; /* its thread's own */
} delay = { .one_in = 500, .most = 400 };

PLUGIN_EXPORT int qemu_plugin_version = PLUGIN_VERSION;
PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_info *info, int argc, char **argv);

static uint64_t draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void passed(unsigned hart, void *data)
{
	uint64_t *state = &delay.hart[hart % HARTS].random;

	(void)data;
	if (draw(state) % delay.one_in)
		return;
	delay.hart[hart % HARTS].stops++;
	usleep((unsigned)(draw(state) % delay.most));
}

static bool is_place(uint32_t word)
{
	unsigned opcode = word & 0x7f, csr = word >> 20;

	switch (opcode) {
	case 0x2f: /* atomics */
	case 0x0f: /* fence, fence.i */
		return true;
	case 0x73:
		return word == SRET || (word & 0xfe007fff) == 0x12000073 ||
		       ((word >> 12 & 3) && (csr == 0x180 || csr == 0x144 || csr == 0x344));
	default:
		return false;
	}
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t i, count = qemu_plugin_tb_n_insns(tb);

	(void)id;
	for (i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t vaddr = qemu_plugin_insn_vaddr(insn);
		uint32_t word;

		if (qemu_plugin_insn_size(insn) != 4 || !(vaddr >> 63 || (vaddr >= 0x80000000 && vaddr < 0x80200000)))
			continue;
		memcpy(&word, qemu_plugin_insn_data(insn), sizeof(word));
		if (is_place(word))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, passed, QEMU_PLUGIN_CB_NO_REGS, NULL);
	}
}

static void ended(qemu_plugin_id_t id, void *data)
{
	unsigned i;

	(void)id;
	(void)data;
	for (i = 0; delay.out && i < HARTS; i++)
		if (delay.hart[i].stops)
			fprintf(delay.out, "hart %u %lu\n", i, delay.hart[i].stops);
	if (delay.out)
		fclose(delay.out);
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_info *info, int argc, char **argv)
{
	uint64_t seed = 1;
	int i;

	(void)info;
	for (i = 0; i < argc; i++) {
		const char *value = strchr(argv[i], '=');

		if (!value)
			return -1;
		if (strncmp(argv[i], "seed=", 5) == 0)
			seed = strtoul(value + 1, NULL, 10);
		else if (strncmp(argv[i], "one-in=", 7) == 0)
			delay.one_in = strtoul(value + 1, NULL, 10);
		else if (strncmp(argv[i], "most=", 5) == 0)
			delay.most = strtoul(value + 1, NULL, 10);
		else if (strncmp(argv[i], "out=", 4) == 0)
			delay.out = fopen(value + 1, "w");
	}
	if (!delay.one_in || !delay.most)
		return -1;
	for (i = 0; i < HARTS; i++)
		delay.hart[i].random = (seed + (uint64_t)i + 1) * 0x9e3779b97f4a7c15 | 1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, ended, NULL);
	return 0;
}
