# Objects of lib/.
lib-y := lock.o
