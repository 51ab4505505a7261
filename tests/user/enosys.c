/* Unknown system calls fail with ENOSYS, whatever their number and arguments, and nothing else happens. */
#include "check.h"

int main(void)
{
	static const long numbers[] = {
		600, 1000, 4095, 100000, 0x7fffffff, 0x100000000, -2, -1000, 0x4000000000000000
	};

	for (unsigned i = 0; i < COUNT(numbers); i++)
		for (int again = 0; again < 3; again++)
			CHECK_ERR(syscall(numbers[i], ~0UL, &numbers, 1, 2, 3, 4), ENOSYS);
	return pass();
}
