/*
 * The marks by which tests/plugin/work.c tells tests/plugin/lines.c what it does: `slti x0, x0, MARK` changes nothing on any
 * machine. The plugin looks for them in user mode only.
 */
#ifndef PLUGIN_MARKS_H
#define PLUGIN_MARKS_H

enum mark {
	MARK_ARM = 0x5a0,   /* once, before anything is measured: from here on accesses are looked at */
	MARK_CASE = 0x5a1,  /* a case begins; no hart is between BEGIN and END */
	MARK_ROUND = 0x5a2, /* a round begins: what harts held before it is forgotten */
	MARK_BEGIN = 0x5a3, /* this hart works from here on */
	MARK_STEP = 0x5a4,  /* this hart has done an operation */
	MARK_END = 0x5a5,   /* this hart works no more */
	MARK_DONE = 0x5a6,  /* a case ends: its figures are written */
};

#ifdef __riscv
#define MARK(which) __asm__ volatile("slti x0, x0, %0" ::"i"(which) : "memory")
#else
#define MARK(which) ((void)(which))
#endif

#endif
