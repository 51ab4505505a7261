board-y := errata.o
