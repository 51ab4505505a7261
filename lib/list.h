/* Intrusive doubly linked lists. Whoever owns the head owns the lock that guards it. */
#ifndef LIB_LIST_H
#define LIB_LIST_H

#include "lib/types.h"

struct list {
	struct list *next;
	struct list *prev;
};

#define LIST_INIT(head)                                                                                                \
	{                                                                                                              \
		&(head), &(head)                                                                                       \
	}

static inline void list_init(struct list *head)
{
	head->next = head;
	head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

/* Puts node right behind `at`: at the front, where `at` is the head. */
static inline void list_add(struct list *at, struct list *node)
{
	node->next = at->next;
	node->prev = at;
	at->next->prev = node;
	at->next = node;
}

static inline void list_add_tail(struct list *head, struct list *node)
{
	list_add(head->prev, node);
}

/* Takes node out; it is an empty list of its own afterwards, so removing twice is harmless. */
static inline void list_del(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#define list_entry(node, type, member) container_of(node, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
#define list_for_each(pos, head)       for (struct list *pos = (head)->next; pos != (head); pos = pos->next)
/* Safe against removal of pos itself. */
#define list_for_each_safe(pos, tmp, head)                                                                             \
	for (struct list *pos = (head)->next, *tmp = pos->next; pos != (head); pos = tmp, tmp = pos->next)

#endif
