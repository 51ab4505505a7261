/*
 * The model behind tests/plugin/shadow.c: what each hart may hold in its TLB, by the specification. Contract of shadow_model.c and
 * shadow_withdrawn.c. All is called with one lock held (shadow.c's).
 */
#ifndef PLUGIN_SHADOW_H
#define PLUGIN_SHADOW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SHADOW_HARTS	  8
#define SHADOW_RAM	  UINT64_C(0x80000000)
#define SHADOW_TABLE	  512 /* entries of one */
#define SHADOW_ROOT_LEVEL 2

#define PTE_V	   UINT64_C(1)
#define PTE_RIGHTS UINT64_C(0x1e) /* R, W, X, U */
#define PTE_RWX	   UINT64_C(0xe)

/* An entry of a page table that some hart has walked through. */
struct slot {
	uint64_t value;		       /* as last seen; 0: it is not valid */
	uint64_t va;		       /* the first address that it is for */
	uint64_t walked[SHADOW_HARTS]; /* when each hart last did; 0: never, or it has fenced since */
	uint16_t asid;
	uint8_t level;
};

struct shadow_table {
	struct slot *slot[SHADOW_TABLE];
};

/* A translation that is no longer in the tables, and who may hold it. */
struct withdrawn {
	struct withdrawn *next;
	uint64_t value; /* as it was */
	uint64_t va;
	uint64_t slot; /* physical address */
	uint64_t pc;   /* of the store */
	uint16_t asid;
	uint8_t level;
	uint8_t by; /* hart */
	uint8_t harts;
};

/* What a hart that was in another space has not fenced of one: the first such. */
struct leftover {
	uint64_t when; /* 0: nothing */
	uint64_t va;
	uint64_t pc;
	uint8_t by;
	uint8_t level;
};

struct shadow_hart {
	uint64_t root; /* frame number, or 0 */
	uint16_t asid;
	uint64_t fenced_all;	       /* when */
	uint64_t fenced[1 << 16];      /* each ASID: when, every level */
	struct leftover left[1 << 16]; /* by ASID */
};

enum shadow_count {
	COUNT_WALKS,
	COUNT_WITHDRAWN,
	COUNT_PAGE_FENCES,
	COUNT_ASID_FENCES,
	COUNT_ALL_FENCES,
	COUNT_FIRMWARE_FENCES,
	COUNT_FREES,
	COUNT_RETURNS,
	COUNT_ROOTS,
	SHADOW_COUNTS
};

struct shadow {
	FILE *out;
	unsigned reports;
	uint64_t now;		     /* counts what happens */
	uint8_t *ram;		     /* the machine's memory, as this process has it */
	uint64_t frames;	     /* of it */
	struct shadow_table **table; /* by frame, from SHADOW_RAM */
	uint64_t *named;	     /* by frame: the physical address of the entry that was last seen to name it */
	uint64_t held;		     /* how many struct withdrawn there are */
	uint64_t count[SHADOW_COUNTS];
	struct shadow_hart hart[SHADOW_HARTS];
};
extern struct shadow shadow;

/* ---- shadow_model.c: the tables as harts walk them. */

static inline uint64_t pte_frame(uint64_t pte)
{
	return pte << 10 >> 20;
}

static inline bool frame_is_ram(uint64_t frame)
{
	return frame - (SHADOW_RAM >> 12) < shadow.frames;
}

static inline uint64_t *at_physical(uint64_t pa)
{
	return (uint64_t *)(shadow.ram + (pa - SHADOW_RAM));
}

/* This hart uses va: it may hold all that its walk sees from now on. */
void shadow_walk(unsigned hart, uint64_t va);
/* The kernel stored to this physical address. */
void shadow_stored(unsigned hart, uint64_t pa, uint64_t pc);
void shadow_freed(unsigned hart, uint64_t frame, uint64_t frames);
/* The slot of this physical address, or NULL. */
struct slot *shadow_slot(uint64_t pa);
/* Whether the hart, as its satp is, comes to this entry for va. */
bool shadow_leads(unsigned hart, uint64_t va, unsigned level, uint64_t pa);
/* An all-levels fence of the ASID by this hart was at, or 0. */
uint64_t shadow_fenced(unsigned hart, uint16_t asid);

/* ---- shadow_withdrawn.c: what must be fenced, and whether it is when somebody relies on it. */

void withdrawn_add(const struct slot *slot, uint64_t pa, unsigned by, uint64_t pc);
/* The entry gives all of this again. */
void withdrawn_regained(uint64_t pa, uint64_t value);
void withdrawn_frame_freed(unsigned by, uint64_t frame);
/* A frame is freed that this entry still names. */
void withdrawn_still_named(const struct slot *slot, uint64_t pa, unsigned by);
/* The hart goes back to user mode: what it withdrew must be gone everywhere. */
void withdrawn_return(unsigned hart);
void shadow_fence_page(unsigned hart, uint64_t va, bool any_asid, uint16_t asid);
void shadow_fence_asid(unsigned hart, uint16_t asid);
void shadow_fence_all(unsigned hart);
void shadow_report(const char *what, unsigned hart, const struct withdrawn *of, unsigned by);

#endif
