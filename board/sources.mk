board-y := boards.o sifive.o
