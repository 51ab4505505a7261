/*
 * What a program finds when it starts: arguments, environment, auxiliary vector, zeroed bss, initialised data, TLS.
 */
#include "check.h"

#include <elf.h>

extern char **environ;

static char bss[64 * KIB];
static int data = 42;
static const int rodata = 43;
static __thread int tls_data = 44;
static __thread char tls_bss[PAGE];

static void auxv_check(const char *program)
{
	const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
	const char *name = (const char *)getauxval(AT_EXECFN);
	const Elf64_Phdr *headers = (const Elf64_Phdr *)getauxval(AT_PHDR);
	unsigned long loads = 0;
	unsigned sum = 0;

	CHECK_EQ(getauxval(AT_PAGESZ), PAGE);
	CHECK_EQ(getauxval(AT_PHENT), sizeof(Elf64_Phdr));
	CHECK(getauxval(AT_ENTRY) != 0);
	CHECK(headers && getauxval(AT_PHNUM) > 0);
	for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
		loads += headers[i].p_type == PT_LOAD;
	CHECK(loads >= 1);
	CHECK(random);
	for (int i = 0; i < 16; i++)
		sum |= random[i];
	CHECK(sum != 0);
	CHECK(name && strlen(name) > 0 && program);
	CHECK_EQ(getauxval(AT_UID), getuid());
	CHECK_EQ(getauxval(AT_SECURE), 0);
}

int main(int argc, char **argv)
{
	static const char *const expected[] = { "one", "two words", "-x=\"q\"", "last" };
	char *stack = __builtin_frame_address(0);

	CHECK_EQ(argc, 1 + (int)COUNT(expected));
	for (unsigned i = 0; i < COUNT(expected); i++)
		CHECK(strcmp(argv[i + 1], expected[i]) == 0);
	CHECK(argv[argc] == NULL);
	CHECK(argv[0] && argv[0][0]);
	CHECK(environ);
	for (char **variable = environ; *variable; variable++)
		CHECK(strchr(*variable, '='));
	auxv_check(argv[0]);

	for (size_t i = 0; i < sizeof(bss); i++)
		CHECK_EQ(bss[i], 0);
	for (size_t i = 0; i < sizeof(tls_bss); i++)
		CHECK_EQ(tls_bss[i], 0);
	CHECK_EQ(data, 42);
	CHECK_EQ(rodata, 43);
	CHECK_EQ(tls_data, 44);
	data = tls_data = 1;
	memset(bss, 1, sizeof(bss));
	CHECK_EQ((uintptr_t)stack % 16, 0);
	return pass();
}
