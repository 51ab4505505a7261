/* Any bytes as boot arguments (firmware/args.c), in exactly as much early memory as they ask for. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/boot.h"
#include "firmware/args.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
void *early_alloc(uint64_t bytes, uint64_t align);

static jmp_buf refused;
static void *given[16];
static unsigned n_given;

void *early_alloc(uint64_t bytes, uint64_t align)
{
	void *at = NULL;

	if (n_given == 16 || posix_memalign(&at, align < sizeof(at) ? sizeof(at) : align, bytes) != 0)
		abort();
	memset(at, 0, bytes);
	given[n_given++] = at;
	return at;
}

void boot_fail(const char *fmt, ...)
{
	if (fmt == NULL)
		abort();
	longjmp(refused, 1);
}

static void look(const char *word)
{
	if (strlen(word) > 100000)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = malloc(n + 1);
	unsigned count = 0;

	memcpy(text, data, n);
	text[n] = '\0';
	memset(&args, 0, sizeof(args));
	if (setjmp(refused) == 0) {
		boot_args_init(text);
		for (unsigned i = 0; i < n && i < 8; i++)
			(void)boot_arg(text + i);
		boot_args_unknown(look);
		char **program = boot_program_args(&count);

		for (unsigned i = 0; i < count; i++)
			look(program[i]);
		if (program[count] != NULL)
			abort();
	}
	while (n_given > 0)
		free(given[--n_given]);
	free(text);
	return 0;
}
