# The suites inside the kernel: in the test image only.
tests-kernel-y := ktest.o alloc.o shootdown.o ipi.o locks.o epoch.o sched.o timer.o user.o disk.o cache.o page.o watchdog.o stacks.o
