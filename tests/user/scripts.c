/* execve of files that begin with "#!": what arrives, how long and how deep it may be, what is refused. */
#include "check.h"

#include <fcntl.h>
#include <sys/stat.h>

#define DIRECTORY "/tmp/corral-scripts"

static void put_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	CHECK(close(fd) == 0);
	CHECK(chmod(name, 0755) == 0);
}

/* What the interpreter, which is this program, prints: its arguments. */
static int show(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		printf("[%s]", argv[i]);
	printf("%s\n", (const char *)getauxval(AT_EXECFN));
	return 0;
}

static void expect(const char *script, char *const *arguments, const char *output)
{
	char got[8192] = { 0 };
	size_t length = 0;
	int fds[2];
	ssize_t n;
	pid_t pid;

	CHECK(pipe(fds) == 0);
	pid = child_fork();
	if (pid == 0) {
		CHECK(dup2(fds[1], 1) == 1);
		execv(script, arguments);
		_exit(errno);
	}
	CHECK(close(fds[1]) == 0);
	while ((n = read(fds[0], got + length, sizeof(got) - 1 - length)) > 0)
		length += (size_t)n;
	CHECK(close(fds[0]) == 0);
	child_wait(pid);
	if (strcmp(got, output) != 0) {
		fprintf(stderr, "got %s\nnot %s\n", got, output);
		CHECK(!"the interpreter's arguments");
	}
}

static void refused(const char *script, int error)
{
	char *arguments[] = { "x", NULL };

	CHECK_ERR(execv(script, arguments), error);
}

int main(int argc, char **argv)
{
	char *arguments[] = { "dropped", "one", "two words", NULL };
	char text[600], output[600];
	char me[200];

	if (argc > 1 && strncmp(argv[1], "show", 4) == 0)
		return show(argc, argv);
	CHECK(mkdir("/tmp", 0777) == 0 || errno == EEXIST);
	CHECK(mkdir(DIRECTORY, 0700) == 0 || errno == EEXIST);
	CHECK(chdir(DIRECTORY) == 0);
	CHECK(readlink("/proc/self/exe", me, sizeof(me) - 1) > 0);
	CHECK(symlink(me, "me") == 0 || errno == EEXIST);

	put_file("a", "#! " DIRECTORY "/me \t show  me more \t\nrest\n");
	expect("./a", arguments, "[" DIRECTORY "/me][show  me more][./a][one][two words]./a\n");
	expect(DIRECTORY "/a", (char *[]){ NULL },
	       "[" DIRECTORY "/me][show  me more][" DIRECTORY "/a]" DIRECTORY "/a\n");
	put_file("b", "#!./a\n");
	snprintf(output, sizeof(output), "[%s/me][show  me more][./a][./b][one][two words]./b\n", DIRECTORY);
	expect("./b", arguments, output);
	put_file("show-me", "#!me");
	expect("show-me", arguments, "[me][show-me][one][two words]show-me\n");

	/* Five scripts, and no more. */
	put_file("c", "#!./b\n");
	put_file("d", "#!./c\n");
	put_file("e", "#!./d\n");
	put_file("f", "#!./e\n");
	snprintf(output, sizeof(output), "[%s/me][show  me more][./a][./b][./c][./d][./e][one][two words]./e\n",
		 DIRECTORY);
	expect("./e", arguments, output);
	refused("./f", ELOOP);

	/* Longer than the line that counts: arguments are cut off, a name that may have been is refused. */
	memset(text, 0, sizeof(text));
	snprintf(text, sizeof(text), "#!me show");
	memset(text + strlen(text), 'x', 400);
	put_file("long", text);
	snprintf(output, sizeof(output), "[me][%.250s][./long][one][two words]./long\n", text + 5);
	expect("./long", arguments, output);
	memset(text + 2, 'y', 400);
	put_file("longer", text);
	refused("./longer", ENOEXEC);

	put_file("empty", "#!\n");
	refused("./empty", ENOEXEC);
	put_file("blank", "#! \t \n");
	refused("./blank", ENOEXEC);
	put_file("nowhere", "#!/nowhere\n");
	refused("./nowhere", ENOENT);
	put_file("directory", "#!" DIRECTORY "\n");
	refused("./directory", EACCES);
	put_file("text", "echo\n");
	refused("./text", ENOEXEC);
	put_file("noaccess", "#!me show\n");
	CHECK(chmod("noaccess", 0644) == 0);
	refused("./noaccess", EACCES);
	return pass();
}
