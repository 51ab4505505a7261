/*
 * Address spaces: what kernel/ uses of mm/. Page tables carry all state; there is no list of regions.
 *
 * Addresses and lengths are bytes. Unless said otherwise they must be page-aligned, and a range must lie within
 * [0, USER_END), or the call returns -EINVAL; kernel/ rounds and maps errors as Linux does. All functions take their own
 * locks, and may be called with no RANK_TABLE or inner lock held. None sleeps.
 */
#ifndef MM_SPACE_H
#define MM_SPACE_H

#include <stdatomic.h>

#include "lib/list.h"
#include "lib/lock.h"
#include "lib/types.h"
#include "mm/mapping.h"
#include "mm/pte.h"

/* What a hart remembers of a space, so that harts map and unmap without a shared line. Written by that hart only. */
struct va_hint {
	vaddr_t next;	       /* the last range found began here; search downward from it */
	vaddr_t next_big;      /* the same for large ones: place.c */
	vaddr_t near;	       /* small ones below this go elsewhere, and then all */
	vaddr_t left;	       /* until the one here is given back */
	_Atomic uint64_t view; /* frame number of this hart's root, or 0: view.h */
	/* How often munmap here left a table empty since they were last taken out, and how often is too often: edit.c. */
	uint32_t emptied;
	uint32_t emptied_limit;
} CACHE_ALIGNED;

/* What mlock says of a page. */
enum space_lock { SPACE_UNLOCKED, SPACE_LOCKED, SPACE_LOCKED_ON_FAULT };

/* space_map refuses W with X, and space_protect also X where it was not: -EACCES. */
#define SPACE_NO_EXEC_GAIN 1U

struct space {
	/* Written when the space is created, then only read. */
	pfn_t root;
	uint16_t asid;		     /* 0: none of its own, flushed on every switch */
	_Atomic uint32_t forks;	     /* one more whenever fork has detached tables: walk.h */
	_Atomic bool views;	     /* harts have roots of their own: view.h */
	_Atomic bool fork_copies;    /* something here must not be shared by fork, or was not once: fork.c */
	vaddr_t mmap_top;	     /* addresses are chosen below this */
	_Atomic uint32_t users;	     /* references: threads, and whoever looks in from outside */
	uint64_t serial;	     /* no other space has or had it */
	struct list link;	     /* of all spaces [spaces lock] */
	_Atomic uint64_t grow_limit; /* bytes: the largest region that grows down by itself; kernel/ may change it */
	_Atomic bool seals;	     /* there may be sealed ranges: seal.c */
	_Atomic uint32_t exec_rules; /* SPACE_NO_EXEC_GAIN, and what kernel/, which sets it, wants to remember */

	/*
	 * Which harts may hold its translations; see tlb.c for the protocol. active: have it in satp. cached: may hold
	 * entries of its ASID since their last flush of it. viewed: hold only what their views lead to. icache_stale: must fence.i
	 * before they run it again.
	 */
	_Atomic uint64_t active CACHE_ALIGNED;
	_Atomic uint64_t cached;
	_Atomic uint64_t viewed;
	_Atomic uint64_t icache_stale;

	/* Descriptors of objects that may have entries here: reverse.c */
	struct spinlock attached_lock;
	_Atomic unsigned attachments;	/* written under attached_lock */
	struct list attached;		/* [attached_lock] in the order they were made */
	_Atomic uint32_t attach_serial; /* one more whenever mmap attaches one */

	/* mlock: locked.c */
	struct spinlock locked_lock;
	struct list locked;    /* [locked_lock] */
	uint64_t locked_bytes; /* [locked_lock] read without it to see whether there are any */

	struct va_hint hint[]; /* hw_harts() of them, each written by its own hart */
};

/* mm's part of starting the machine, after coremap_init: slabs, descriptors, ASIDs, per-hart state. tlb_ipi: shoot down
 * by IPI and mailbox; false: by SBI RFENCE. */
void mm_init(bool tlb_ipi);

/*
 * For comparisons; both set once, before programs run. everyone: the harts that each shootdown asks, all that there are; 0: those that may
 * hold the entries. batch: pages that one request to other harts is about at most, not 0, of ranges
 * up to 64 MiB.
 */
void space_set_shootdown(uint64_t everyone, uint64_t batch);

/* An empty space with one reference. 0 or -ENOMEM. */
int space_create(struct space **out) MUST_CHECK;

void space_get(struct space *space);
/* The last put takes down everything. No hart may be in it then; space_switch has left it. Never allocates. */
void space_put(struct space *space);

/* Makes next this hart's space; NULL: none, the kernel's own root. Cheap when it already is. */
void space_switch(struct space *next);
/* Several threads will run in it. By its first thread, before it makes the second. */
void space_threads(struct space *space);
/* Every hart in it has done what it did before, and begins nothing before this; instructions: nor has it old ones (fence.i). */
void space_barrier(struct space *space, bool instructions);
/* This hart's space, or NULL. */
struct space *space_current(void);

/* A copy-on-write copy for fork, with one reference. The parent loses nothing on failure. 0 or -ENOMEM. */
int space_fork(struct space *parent, struct space **child) MUST_CHECK;

/*
 * The same; both will soon touch these SPACE_HOT addresses (stack, the child's thread id; program counter, static data, thread's data), so
 * their tables are not shared. To the first SPACE_WRITTEN both will write at once. USER_END and above: none.
 */
#define SPACE_HOT     5
#define SPACE_WRITTEN 2
int space_fork_near(struct space *parent, const vaddr_t *hot, struct space **child) MUST_CHECK;

/*
 * What fork shares: nothing that may be written, so that there is no copy-on-write unless memory is short; pages; also page tables, where
 * it pays; all page tables (for tests). Set once, before programs run.
 */
enum fork_policy { FORK_EAGER, FORK_COW, FORK_TABLES, FORK_ALL_TABLES };
void space_set_fork_policy(enum fork_policy policy);

enum space_place {
	PLACE_HINT,	  /* `at` if free, else somewhere else; at = 0: anywhere */
	PLACE_FIXED,	  /* at `at`, in place of what is there (MAP_FIXED) */
	PLACE_NO_REPLACE, /* at `at`, or -EEXIST */
};

/*
 * Reserves [*at, *at + bytes) for `mapping` with `perm` (within the mapping's max_perm, or -EACCES; W without R is
 * taken as R|W: the specification reserves it). For an object mapping, mapping->base must be what the final address
 * gives: pass it through space_map_object instead unless FIXED. Stores the address in *at. 0, -ENOMEM (no memory for
 * tables, or no free addresses), -EEXIST, -EINVAL.
 */
int space_map(struct space *space, enum space_place place, vaddr_t *at, uint64_t bytes, uint64_t perm,
	      struct mapping *mapping) MUST_CHECK;

/* The same for `object` from page-aligned byte `offset` on: makes the descriptor. */
int space_map_object(struct space *space, enum space_place place, vaddr_t *at, uint64_t bytes, uint64_t perm,
		     uint64_t max_perm, struct object *object, uint64_t offset, bool shared) MUST_CHECK;

/* The same, for a descriptor like that one in all but its base, also in who watches it. */
int space_map_like(struct space *space, enum space_place place, vaddr_t *at, uint64_t bytes, uint64_t perm,
		   const struct mapping *like, uint64_t offset) MUST_CHECK;

/* Removes whatever is there. 0, -EINVAL, or -ENOMEM when a reservation had to be split and could not be. */
int space_unmap(struct space *space, vaddr_t start, uint64_t bytes) MUST_CHECK;

/*
 * Changes permissions. -ENOMEM: a part is unmapped (what lies before it is changed, as on Linux), or no memory to split;
 * -EACCES: beyond a mapping's max_perm.
 */
int space_protect(struct space *space, vaddr_t start, uint64_t bytes, uint64_t perm) MUST_CHECK;

/* MADV_DONTNEED: pages become untouched again. -ENOMEM: a part is unmapped (the rest is done, as on Linux); -EAGAIN: no memory. */
int space_discard(struct space *space, vaddr_t start, uint64_t bytes) MUST_CHECK;

/*
 * mremap: what is at [from, from + bytes) goes to a new place of new_bytes >= bytes, the rest of it reserved alike; pages
 * move, nothing is copied. The source must be one region (same permissions and descriptor throughout). place, *to: as for
 * space_map, but PLACE_FIXED replaces nothing (unmap first). keep: the source stays mapped, untouched (MREMAP_DONTUNMAP).
 * 0; -EFAULT: the source is not one region; -ENOMEM; -EEXIST; -EINVAL (ranges overlap).
 */
int space_move(struct space *space, vaddr_t from, uint64_t bytes, enum space_place place, vaddr_t *to,
	       uint64_t new_bytes, bool keep) MUST_CHECK;

/* Reserves `bytes` behind `end` like the page before it. 0, -ENOMEM (also when something is there), -EFAULT. */
int space_extend(struct space *space, vaddr_t end, uint64_t bytes) MUST_CHECK;

/*
 * Maps the object that is at `like` once more, from that byte on (mremap of no bytes). place, *to: as for space_map. 0,
 * -EFAULT: nothing is there; -EINVAL: it is not an object's; errors of space_map_object.
 */
int space_map_again(struct space *space, vaddr_t like, enum space_place place, vaddr_t *to, uint64_t bytes) MUST_CHECK;

/*
 * va was touched, where nothing is mapped: grows the region above down to it if it is one that does
 * (mapping_anon_growing), stays within space->grow_limit, and keeps Linux's gap from what lies below. space_fault does this
 * by itself. 0; -EFAULT: there is none; -ENOMEM.
 */
int space_grow_down(struct space *space, vaddr_t va) MUST_CHECK;

/*
 * mseal: from now on the range can neither be unmapped, replaced, moved nor given other permissions, and what is private,
 * anonymous and not writable in it neither be discarded nor kept from a child: -EPERM by the calls above and the next. -ENOMEM:
 * a part is unmapped, and nothing has changed, or no memory.
 */
int space_seal(struct space *space, vaddr_t start, uint64_t bytes) MUST_CHECK;

/* MADV_DONTFORK, MADV_WIPEONFORK and back, on anonymous private memory (-EINVAL on other). */
int space_set_fork(struct space *space, vaddr_t start, uint64_t bytes, enum mapping_fork fork) MUST_CHECK;

/* ---- Faults. */

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC };

enum fault {
	FAULT_OK,     /* the access can be tried again */
	FAULT_MAPERR, /* nothing mapped: SIGSEGV, SEGV_MAPERR */
	FAULT_ACCERR, /* not allowed: SIGSEGV, SEGV_ACCERR */
	FAULT_BUS,    /* past the end of an object: SIGBUS, BUS_ADRERR */
	FAULT_OOM,    /* no memory: the process is ended */
	FAULT_READ,   /* a page of a backed object is missing: read it in (space_object_at), then try again */
};

/* Any va, aligned or not, canonical or not. Called with no lock held. */
enum fault space_fault(struct space *space, vaddr_t va, enum access access) MUST_CHECK;

/* The same in the space that this hart runs: what trap entry calls. */
enum fault space_fault_here(vaddr_t va, enum access access) MUST_CHECK;

/*
 * How many pages a fault maps at most, in an aligned group: of an object, those that are there already; of anonymous memory, by a write:
 * each costs a frame, used or not. Powers of two, 1 .. FAULT_AROUND_MAX. 1 and 1 unless set; once, before programs run.
 */
#define FAULT_AROUND_MAX 64
void space_set_fault_around(unsigned object, unsigned anon);

/* Which page of which object is mapped at va, with a reference for the caller. 0; -EFAULT: none. */
int space_object_at(struct space *space, vaddr_t va, struct object **object, uint64_t *index) MUST_CHECK;

/* A note that kernel/ keeps with what of an object is mapped at va: one for all of the mapping; 0 at first, and for other memory. */
void space_advise(struct space *space, vaddr_t va, unsigned advice);
unsigned space_advice(struct space *space, vaddr_t va);

/* ---- The kernel's own access to user memory: user.c. Through the page tables and the direct map, never through the
 * program's translations; faults like the program's own. Any address, any length. 0, -EFAULT, or -ENOMEM. */
/*
 * What space_fault cannot do alone (FAULT_OOM, FAULT_READ), helper may, when it stops one of these: 0: try again; else what
 * the copy returns. Called with none of mm's locks held, and whatever locks the caller holds.
 */
void user_set_helper(int (*helper)(struct space *space, vaddr_t va, enum access access, enum fault fault));
int user_read(struct space *space, void *dst, vaddr_t src, uint64_t n) MUST_CHECK;
int user_write(struct space *space, vaddr_t dst, const void *src, uint64_t n) MUST_CHECK;
int user_clear(struct space *space, vaddr_t dst, uint64_t n) MUST_CHECK;
/* A string with its final 0 into dst; its length without it, -EFAULT, -ENAMETOOLONG when it does not fit in max. */
int64_t user_read_string(struct space *space, char *dst, vaddr_t src, uint64_t max) MUST_CHECK;
/* An aligned word, atomically; does not fault pages in, so it may be called under RANK_FUTEX: -EAGAIN: fault it in with
 * space_fault(ACCESS_READ or _WRITE), with no lock held, and try again. cmpxchg: *old is what was there. */
int user_load_u32(struct space *space, vaddr_t va, uint32_t *out) MUST_CHECK;
int user_cmpxchg_u32(struct space *space, vaddr_t va, uint32_t expect, uint32_t set, uint32_t *old) MUST_CHECK;
/* What a futex word is of: (object, byte offset) on shared mappings, else (space, address). -EFAULT when unmapped. */
struct user_key {
	const void *of;
	uint64_t offset;
};
int user_futex_key(struct space *space, vaddr_t va, struct user_key *key) MUST_CHECK;

/* A debugger's access (force.c): what the program could read or, in private memory, write if it had the permission. The bytes
 * that were moved before the first page where that cannot be, or where no memory was left. */
uint64_t force_read(struct space *space, void *dst, vaddr_t src, uint64_t n);
uint64_t force_write(struct space *space, vaddr_t dst, const void *src, uint64_t n);

/* ---- Looking at a space. */

/* Pages that are there, by whether another entry names them, too (of any space), and whether they were written to here. */
struct space_use {
	uint64_t shared_clean, shared_dirty, private_clean, private_dirty;
	uint64_t anonymous;  /* of all these: not an object's */
	uint64_t proportion; /* bytes, << SPACE_PROPORTION_SHIFT: each page's divided by how many entries name it */
};
#define SPACE_PROPORTION_SHIFT 12

struct space_region {
	vaddr_t start, end;
	uint64_t perm;
	struct mapping *mapping;	   /* as it was when visited: to compare, not to follow */
	const struct object *object;	   /* the descriptor's, likewise; NULL: anonymous private memory */
	const struct mapping_watch *watch; /* likewise; NULL: none */
	uint64_t offset;		   /* of start within the object */
	enum space_lock lock;		   /* the same for all of it: a region ends where a lock does */
	bool sealed, droppable;		   /* the descriptor's */
	bool shared, grows;		   /* the descriptor's */
	uint64_t resident;		   /* pages present or parked */
	struct space_use use;		   /* of these */
};

/*
 * The maximal region of equal permissions and descriptor that contains or follows `from`. Returns false when there is
 * none. What it says was true of each table when it looked.
 */
bool space_next_region(struct space *space, vaddr_t from, struct space_region *out);

/*
 * mlock and munlock: notes what is told of [start, start + bytes); unmapping and remapping forget it, moves take it along,
 * fork does not pass it on. -ENOMEM.
 */
int space_set_lock(struct space *space, vaddr_t start, uint64_t bytes, enum space_lock lock) MUST_CHECK;
uint64_t space_locked_bytes(struct space *space);

/*
 * mincore: for each of the pages from start on, 1 where a touch would find it in memory, else 0. 0, or -ENOMEM where
 * nothing is mapped.
 */
int space_resident(struct space *space, vaddr_t start, uint64_t pages, uint8_t *out) MUST_CHECK;

/* ---- Counters, per hart, exact for the calling hart and racy sums over all. */

enum mm_counter {
	MM_ZERO_FILLS,
	MM_ZERO_READS,
	MM_COW_COPIES,
	MM_COW_REUSES,
	MM_OBJECT_FAULTS,
	MM_MARKS,
	MM_SPURIOUS,
	MM_REFUSED,
	MM_SHOOTDOWNS,
	MM_IPIS,
	MM_REMOTE_FENCES,
	MM_FENCES_LOCAL,
	MM_SERVED,
	MM_TABLES_FREED,
	MM_TABLES_SHARED,
	MM_TABLES_COPIED,
	MM_TABLES_TAKEN,
	MM_AROUND,
	MM_CLEARED_USES,
	MM_COUNTERS
};
uint64_t mm_counter_sum(enum mm_counter counter);
uint64_t mm_counter_of(unsigned hart, enum mm_counter counter);
extern const char *const mm_counter_name[MM_COUNTERS];

/* ---- Inter-hart requests: tlb.c. Serves what other harts have asked of this one; from the IPI handler and hw_relax. */
void tlb_serve(void);

/* ---- The audit: walks everything and compares (docs/architecture.md, "What is true at all times"). No hart may be in
 * mm/, and no thread's space operation half done. Reports the first violations through report(); how many there were. */
unsigned mm_audit(void (*report)(const char *line));

#endif
