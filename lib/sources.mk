# Objects of lib/.
lib-y := lock.o runtime.o
