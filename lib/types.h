/* Typed addresses: mixing them does not compile, and costs no instruction. */
#ifndef LIB_TYPES_H
#define LIB_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE  (UINT64_C(1) << PAGE_SHIFT)
#define PAGE_MASK  (PAGE_SIZE - 1)
#define CACHE_LINE 64

/* A physical address, in bytes. */
typedef struct {
	uint64_t v;
} paddr_t;

/* A virtual address of a user program, in bytes. Kernel addresses are plain pointers. */
typedef struct {
	uint64_t v;
} vaddr_t;

/* A physical frame number: physical address >> PAGE_SHIFT. 0 is never a frame we own and means "none". */
typedef struct {
	uint64_t v;
} pfn_t;

/* A page-table entry as it stands in memory. */
typedef struct {
	uint64_t v;
} pte_t;

#define PADDR(x) ((paddr_t){ (x) })
#define VADDR(x) ((vaddr_t){ (x) })
#define PFN(x)	 ((pfn_t){ (x) })
#define PTE(x)	 ((pte_t){ (x) })

static inline paddr_t pfn_paddr(pfn_t pfn)
{
	return PADDR(pfn.v << PAGE_SHIFT);
}

static inline pfn_t paddr_pfn(paddr_t pa)
{
	return PFN(pa.v >> PAGE_SHIFT);
}

static inline vaddr_t vaddr_page(vaddr_t va)
{
	return VADDR(va.v & ~PAGE_MASK);
}

/* [start, end) in physical bytes. */
struct phys_range {
	paddr_t start;
	paddr_t end;
};

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_LEN(a)			(sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)			((a) < (b) ? (a) : (b))
#define MAX(a, b)			((a) > (b) ? (a) : (b))
#define ALIGN_DOWN(x, to)		((x) & ~((to)-1))
#define ALIGN_UP(x, to)			(((x) + (to)-1) & ~((to)-1))
#define LIKELY(x)			__builtin_expect(!!(x), 1)
#define UNLIKELY(x)			__builtin_expect(!!(x), 0)
#define MUST_CHECK			__attribute__((warn_unused_result))
#define CACHE_ALIGNED			__attribute__((aligned(CACHE_LINE)))
#define ALWAYS_INLINE			inline __attribute__((always_inline))

#endif
