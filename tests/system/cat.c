/* Writes the files that it is given to its standard output. */
#include <fcntl.h>

#include "tests/user/check.h"

int main(int argc, char **argv)
{
	static char buffer[5000];

	for (int i = 1; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY);
		ssize_t n;

		CHECK(fd >= 0);
		while ((n = read(fd, buffer, sizeof(buffer))) > 0)
			for (ssize_t done = 0, part; done < n; done += part) {
				part = write(STDOUT_FILENO, buffer + done, (size_t)(n - done));
				CHECK(part > 0);
			}
		CHECK(n == 0 && close(fd) == 0);
	}
	return 0;
}
