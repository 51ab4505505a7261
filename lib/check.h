/*
 * CHECK is always on: a count that would wrap, an entry that cannot be. ASSERT is for debug builds and states what
 * must hold (locks, arguments). Neither is for anything a program, a file or a device tree can bring about.
 */
#ifndef LIB_CHECK_H
#define LIB_CHECK_H

/* Stops the machine with a message, registers and a backtrace. Provided by firmware/ or tests/fakes/. */
_Noreturn void hw_panic(const char *fmt, ...) __attribute__((format(printf, 1, 2), cold));

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (__builtin_expect(!(cond), 0))                                                                      \
			hw_panic("%s:%d: CHECK(%s) failed", __FILE__, __LINE__, #cond);                                \
	} while (0)

#ifdef CORRAL_DEBUG
#define ASSERT(cond)                                                                                                   \
	do {                                                                                                           \
		if (__builtin_expect(!(cond), 0))                                                                      \
			hw_panic("%s:%d: ASSERT(%s) failed", __FILE__, __LINE__, #cond);                               \
	} while (0)
#elif defined(__clang_analyzer__)
#define ASSERT(cond) ((cond) ? (void)0 : __builtin_unreachable())
#else
#define ASSERT(cond) ((void)sizeof((cond) ? 1 : 0))
#endif

#endif
