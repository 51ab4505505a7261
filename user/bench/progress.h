/* Says on stderr which benchmark runs: one line that is redrawn on a terminal, a line each elsewhere. */
#ifndef BENCH_PROGRESS_H
#define BENCH_PROGRESS_H

void progress_init(void);
void progress_show(unsigned index, unsigned count, const char *name);
void progress_end(void);

#endif
