/*
 * Children, of two threads each, send and receive random messages on sockets that they pass to each other, close and shut: whatever
 * came of it, nothing is lost and the machine goes on. fuzz_sockets [SEED]; it is printed.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "check.h"

enum { CHILDREN = 8, ROUNDS = 400, FDS = 40 };

static uint64_t seed;

static int any_fd(uint64_t *random)
{
	return 3 + (int)(random_next(random) % FDS);
}

static void send_some(uint64_t *random, char *area)
{
	union {
		char bytes[CMSG_SPACE(8 * sizeof(int)) + CMSG_SPACE(16)];
		struct cmsghdr first;
	} control = { 0 };
	struct iovec part[3];
	struct msghdr header = { .msg_iov = part, .msg_iovlen = random_next(random) % 4, .msg_control = &control };
	uint64_t files = random_next(random) % 8;

	for (int i = 0; i < 3; i++)
		part[i] =
			(struct iovec){ random_next(random) % 16 == 0 ? (char *)8 : area, random_next(random) % 6000 };
	control.first.cmsg_level = SOL_SOCKET;
	control.first.cmsg_type = random_next(random) % 8 == 0 ? SCM_CREDENTIALS : SCM_RIGHTS;
	control.first.cmsg_len = CMSG_LEN(files * sizeof(int)) - (random_next(random) % 16 == 0);
	for (uint64_t i = 0; i < files; i++)
		((int *)CMSG_DATA(&control.first))[i] = any_fd(random);
	header.msg_controllen = random_next(random) % 3 == 0 ? 0 : control.first.cmsg_len;
	sendmsg(any_fd(random), &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void receive_some(uint64_t *random, char *area)
{
	char control[CMSG_SPACE(8 * sizeof(int))];
	struct iovec part[2] = { { area, random_next(random) % 9000 }, { area, 10 } };
	struct msghdr header = { .msg_iov = part, .msg_iovlen = random_next(random) % 3, .msg_control = control };
	static const int flags[] = { 0, 0, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_CMSG_CLOEXEC, MSG_PEEK | MSG_TRUNC };

	header.msg_controllen = random_next(random) % (sizeof(control) + 1);
	recvmsg(any_fd(random), &header, MSG_DONTWAIT | flags[random_next(random) % COUNT(flags)]);
}

static void step(uint64_t *random, char *area)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	int pair[2], on = (int)(random_next(random) % 2);

	switch (random_next(random) % 16) {
	case 0:
	case 1:
		if (socketpair(AF_UNIX, types[random_next(random) % 3], 0, pair) == 0 && pair[1] > 3 + FDS) {
			close(pair[0]);
			close(pair[1]);
		}
		break;
	case 2:
	case 3:
	case 4:
		close(any_fd(random));
		break;
	case 5:
		if (random_next(random) % 4 == 0)
			shutdown(any_fd(random), (int)(random_next(random) % 3));
		break;
	case 6:
		setsockopt(any_fd(random), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
		break;
	case 7:
		dup2(any_fd(random), any_fd(random));
		break;
	case 8:
	case 9:
	case 10:
	case 11:
		receive_some(random, area);
		break;
	default:
		send_some(random, area);
	}
}

static void *run(void *arg)
{
	uint64_t random = *(uint64_t *)arg;
	char *area = map_anon(4 * PAGE);

	for (int i = 0; i < ROUNDS; i++)
		step(&random, area);
	return NULL;
}

int main(int argc, char **argv)
{
	pid_t child[CHILDREN];

	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	printf("fuzz_sockets %llu\n", (unsigned long long)seed);
	fflush(stdout);
	for (uint64_t i = 0; i < CHILDREN; i++) {
		child[i] = child_fork();
		if (child[i] == 0) {
			uint64_t random[2] = { (seed + 1) * 977 + i * 2, (seed + 1) * 977 + i * 2 + 1 };
			pthread_t thread = thread_start(run, &random[0]);

			run(&random[1]);
			thread_join(thread);
			_exit(0);
		}
	}
	for (int i = 0; i < CHILDREN; i++)
		child_wait(child[i]);
	return pass();
}
