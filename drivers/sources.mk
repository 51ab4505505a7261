drivers-y := console.o ns16550a.o sifive_uart.o plic.o dt.o block.o
