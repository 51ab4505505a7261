# Objects of lib/.
lib-y := fail.o lock.o runtime.o watch.o
