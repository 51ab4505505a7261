drivers-y := console.o ns16550a.o sifive_uart.o plic.o plic_probe.o dt.o block.o mmio.o virtio.o virtio_blk.o virtio_mmio.o virtio_ring.o ramdisk.o
drivers-y += clock.o sifive_spi.o sd_link.o sd_card.o sd_disk.o sd.o
