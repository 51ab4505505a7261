/* Copies standard input to standard output until its end. */
#include "check.h"

int main(void)
{
	char buffer[512];
	ssize_t got;

	while ((got = read(STDIN_FILENO, buffer, sizeof(buffer))) > 0) {
		for (ssize_t done = 0; done < got;) {
			ssize_t put = write(STDOUT_FILENO, buffer + done, (size_t)(got - done));

			CHECK(put > 0);
			done += put;
		}
	}
	CHECK_EQ(got, 0);
	return pass();
}
