firmware-y := start.o trap.o page.o memset.o page_ways.o boot.o tree.o banks.o memory.o hart.o hw.o sbi.o errata.o time.o args.o log.o panic.o \
	power.o gpio.o pmu.o caches.o stacks.o
