/* What the first program finds in its environment: the defaults, and unknown boot arguments in their place or beside them. */
#include "check.h"

int main(void)
{
	for (char **word = environ; *word != NULL; word++)
		puts(*word);
	return pass();
}
