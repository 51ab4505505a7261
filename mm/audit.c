/*
 * The audit: walks every space, object and frame and compares what they say of each other. Nothing else may run in mm/.
 * What it checks is numbered as in docs/architecture.md, "What is true at all times".
 */
#include <stdarg.h>
#include <stdio.h>

#include "mm/mapping.h"
#include "mm/object_core.h"
#include "mm/object_list.h"
#include "mm/reverse.h"
#include "mm/slab.h"
#include "mm/space_list.h"
#include "mm/view.h"
#include "mm/walk.h"

#define REPORTS_MAX 20

/* In frame.audited of a table: met in the second round. */
#define SETTLED (UINT32_C(1) << 31)

struct audit {
	void (*report)(const char *line);
	unsigned violations;
	bool again;    /* what is below has been seen, by way of another space */
	bool settling; /* second round: descriptors are compared and their marks taken back */
};

static void __attribute__((format(printf, 2, 3))) violation(struct audit *audit, const char *fmt, ...)
{
	char line[160];
	va_list ap;

	if (audit->violations++ >= REPORTS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	audit->report(line);
}

struct audit_views {
	struct audit *audit;
	struct space *space;
};

struct audit_object {
	struct audit *audit;
	uint64_t dirty;
};

/* Descriptors are reached from slots only: the first round counts them, the second compares at the first it meets. */
static void audit_mapping(struct audit *audit, struct space *space, struct mapping *mapping)
{
	uint64_t slots;

	if (mapping->object == NULL)
		return;
	if (!audit->settling && !reverse_knows(mapping, space))
		violation(audit, "8: an entry's space is not attached to its descriptor");
	if (audit->again)
		return;
	if (!audit->settling) {
		mapping->audited++;
		return;
	}
	slots = atomic_load_explicit(&mapping->slots, memory_order_relaxed);
	if (mapping->audited != 0 && mapping->audited != slots)
		violation(audit, "1: a mapping descriptor counts %llu slots, %llu name it", (unsigned long long)slots,
			  (unsigned long long)mapping->audited);
	mapping->audited = 0;
}

static void audit_page(struct audit *audit, pte_t pte, const struct mapping *mapping, uint64_t va)
{
	struct frame *frame = frame_of(pte_pfn(pte));
	uint32_t count;

	if (!frame_exists(pte_pfn(pte))) {
		violation(audit, "4: %#llx maps %#llx, which is not RAM", (unsigned long long)va,
			  (unsigned long long)pte_pfn(pte).v);
		return;
	}
	if (audit->settling || audit->again)
		return;
	frame->audited++;
	count = atomic_load_explicit(&frame->count, memory_order_relaxed);
	if (frame->kind != FRAME_ANON && frame->kind != FRAME_OBJECT && frame->kind != FRAME_ZERO)
		violation(audit, "4: %#llx maps a frame of kind %u", (unsigned long long)va, frame->kind);
	if ((pte.v & (PTE_V | PTE_W)) == (PTE_V | PTE_W) && !mapping->shared &&
	    (frame->kind != FRAME_ANON || count != 1))
		violation(audit, "3: %#llx is writable, kind %u, count %u", (unsigned long long)va, frame->kind, count);
	if ((pte.v & PTE_W) != 0 && mapping->shared &&
	    !object_may_be_written(mapping->object, (va - mapping->base) >> PAGE_SHIFT))
		violation(audit, "7: %#llx is writable, and its page clean, shared with a clone or gone",
			  (unsigned long long)va);
	if ((pte.v & PTE_W) != 0 && (pte.v & PTE_MAYWRITE) == 0)
		violation(audit, "3: %#llx is writable, but not by right", (unsigned long long)va);
}

static void audit_table(struct audit *audit, struct space *space, pfn_t table, unsigned level, uint64_t va);

/* Through an entry above the leaves. What several entries name is counted once, and looked at again for invariant 8. */
static void audit_link(struct audit *audit, struct space *space, pte_t pte, unsigned level, uint64_t va)
{
	struct frame *frame = frame_of(pte_pfn(pte));
	bool again = audit->again;

	if (pte_is_table(pte) && atomic_load_explicit(&frame->count, memory_order_relaxed) != 1)
		violation(audit, "5: %#llx: a private table has count %u", (unsigned long long)va,
			  atomic_load_explicit(&frame->count, memory_order_relaxed));
	if (!audit->settling) {
		audit->again |= frame->audited != 0;
		frame->audited += !again;
	} else {
		audit->again |= (frame->audited & SETTLED) != 0;
		frame->audited |= SETTLED;
	}
	if (!audit->again || !audit->settling)
		audit_table(audit, space, pte_pfn(pte), level, va);
	audit->again = again;
}

static void audit_entry(struct audit *audit, struct space *space, pfn_t table, unsigned level, unsigned i, uint64_t at)
{
	pte_t pte = pte_load(pt_slot(table, i));

	if ((frame_of(table)->table.groups >> (i / PT_GROUP) & 1) == 0)
		violation(audit, "5: %#llx: entry %u is not in its table's groups", (unsigned long long)at, i);
	if (level > 0 && pte_leads(pte)) {
		audit_link(audit, space, pte, level - 1, at);
	} else if (pte_is_reservation(pte)) {
		audit_mapping(audit, space, pte_mapping(pte));
	} else if (level == 0 && pte_is_page(pte)) {
		audit_page(audit, pte, table_mapping(frame_of(table), i), at);
		audit_mapping(audit, space, table_mapping(frame_of(table), i));
	} else {
		violation(audit, "5: %#llx: entry %#llx means nothing", (unsigned long long)at,
			  (unsigned long long)pte.v);
	}
}

static void audit_table(struct audit *audit, struct space *space, pfn_t table, unsigned level, uint64_t va)
{
	struct frame *frame = frame_of(table);
	unsigned entries = level == PT_ROOT ? PT_ENTRIES / 2 : PT_ENTRIES;
	unsigned used = 0;

	if (frame->kind != FRAME_TABLE || frame->level != level || frame->table.stale)
		violation(audit, "5: %#llx: kind %u, level %u for %u%s", (unsigned long long)va, frame->kind,
			  frame->level, level, frame->table.stale ? ", stale" : "");
	if (level == 0 && frame->table.side != NULL && !audit->settling && !audit->again)
		frame_of(paddr_pfn(hw_paddr(frame->table.side)))->audited++;
	for (unsigned i = 0; i < entries; i++) {
		if (pte_is_none(pte_load(pt_slot(table, i))))
			continue;
		used++;
		audit_entry(audit, space, table, level, i, va + i * pt_span(level));
	}
	if (used != frame->table.used)
		violation(audit, "5: %#llx: a table with %u entries counts %u", (unsigned long long)va, used,
			  frame->table.used);
}

static void audit_view(void *ctx, unsigned hart, pfn_t table, unsigned of_level, uint64_t va)
{
	const struct audit_views *views = ctx;
	pfn_t at = views->space->root;
	unsigned level = PT_ROOT;

	if (of_level > 0) {
		frame_of(table)->audited++;
		return;
	}
	for (; level > 0; level--) {
		pte_t pte = pte_load(pt_slot(at, pt_index(VADDR(va), level)));

		if (!pte_is_table(pte))
			break;
		at = pte_pfn(pte);
	}
	if (level != 0 || at.v != table.v || (frame_of(table)->table.harts >> hart & 1) == 0)
		violation(views->audit, "9: %#llx: the view of hart %u leads to a table that is not there",
			  (unsigned long long)va, hart);
}

static void audit_space(void *ctx, struct space *space)
{
	struct audit *audit = ctx;

	frame_of(space->root)->audited += !audit->settling;
	audit_table(audit, space, space->root, PT_ROOT, 0);
	if (!audit->settling)
		views_visit(space, audit_view, &(struct audit_views){ audit, space });
}

static void audit_object_page(void *ctx, uint64_t index, pfn_t pfn, bool dirty)
{
	struct audit_object *of = ctx;
	struct frame *frame = frame_of(pfn);

	if (of->audit->settling)
		return;
	frame->audited++;
	of->dirty += dirty;
	if (frame->kind != FRAME_OBJECT)
		violation(of->audit, "1: an object's page %llu is of kind %u", (unsigned long long)index, frame->kind);
}

static void audit_object(void *ctx, struct object *object)
{
	struct audit_object of = { .audit = ctx };
	const struct object_visitor visitor = { audit_object_page, &of };

	object_visit(object, !of.audit->settling, &visitor);
	if (!of.audit->settling && of.dirty != object_dirty_pages(object))
		violation(of.audit, "7: an object has %llu dirty pages and counts %llu", (unsigned long long)of.dirty,
			  (unsigned long long)object_dirty_pages(object));
	if (of.dirty != 0 && object->store == NULL)
		violation(of.audit, "7: dirty pages of an object that has no store");
}

/* Compares the frame's count with what was seen of it, and takes the mark back. 1 if it is free. */
static uint64_t audit_frame(struct audit *audit, pfn_t pfn)
{
	struct frame *frame = frame_of(pfn);
	uint32_t count = atomic_load_explicit(&frame->count, memory_order_relaxed);
	uint32_t seen = frame->audited & ~SETTLED;
	bool counted = frame->kind == FRAME_ANON || frame->kind == FRAME_OBJECT || frame->kind == FRAME_TABLE ||
		       frame->kind == FRAME_SIDE;

	frame->audited = 0;
	if (frame->kind == FRAME_OBJECT)
		seen += frame->object.written; /* held while it is written back */
	if (counted && count != seen)
		violation(audit, "1: frame %#llx of kind %u has count %u, %u name it", (unsigned long long)pfn.v,
			  frame->kind, count, seen);
	if (frame->kind == FRAME_FREE && (count != 0 || seen != 0))
		violation(audit, "2: frame %#llx is free with count %u, %u name it", (unsigned long long)pfn.v, count,
			  seen);
	return frame->kind == FRAME_FREE;
}

unsigned mm_audit(void (*report)(const char *line))
{
	struct audit audit = { .report = report };
	uint64_t free = 0;

	space_list_visit(audit_space, &audit);
	object_list_visit(audit_object, &audit);
	audit.settling = true;
	space_list_visit(audit_space, &audit);
	object_list_visit(audit_object, &audit);
	for (pfn_t pfn = frame_first(); pfn.v != 0; pfn = frame_next(pfn))
		free += audit_frame(&audit, pfn);
	if (free != frames_free())
		violation(&audit, "2: %llu frames are free, the allocator has %llu", (unsigned long long)free,
			  (unsigned long long)frames_free());
	return audit.violations;
}
