/* SPDX-License-Identifier: Apache-2.0 */
/* A buddy allocator over the arena. Descriptors are apart from the pages. */
#ifndef KMEM_PAGES_H
#define KMEM_PAGES_H

#include "kmem_arena.h"
#include "kmem_gfp.h"

static struct page free_blocks[MAX_ORDER + 2]; /* heads of lists; the last is for a fault */
static size_t free_count;                      /* pages */
static bool exhausted;
static unsigned reserve_frees;

static bool reclaim(gfp_t gfp); /* kmem_slab.h */

static void list_init(struct page *list) { list->next = list->prev = list; }

static bool list_empty(const struct page *list) { return list->next == list; }

static void list_add(struct page *list, struct page *page)
{
    page->next = list->next;
    page->prev = list;
    list->next->prev = page;
    list->next = page;
}

static void list_drop(struct page *page)
{
    page->prev->next = page->next;
    page->next->prev = page->prev;
}

static void block_add(struct page *block, unsigned order)
{
    block->state = FREE;
    block->order = order;
    list_add(&free_blocks[order], block);
}

/* Make all pages free. */
static void pages_init(void)
{
    arena_map();
    for (unsigned order = 0; order <= MAX_ORDER + 1; order++)
        list_init(&free_blocks[order]);
    for (size_t i = ARENA_PAGES + RESERVE; i-- > 0;) {
        pages[i].state = INNER;
        if (i % 1024 == 0)
            block_add(&pages[i], i < ARENA_PAGES ? MAX_ORDER : 5);
    }
    free_count = ARENA_PAGES + RESERVE;
    exhausted = false;
}

static struct page *highest(const struct page *list)
{
    struct page *best = list->next;
    for (struct page *block = list->next; block != list; block = block->next)
        if (block > best)
            best = block;
    return best;
}

/* Take a block of 1 << order pages, or NULL; at least `left` pages stay free. */
static struct page *block_take(unsigned order, size_t left)
{
    unsigned found = order;
    while (found <= MAX_ORDER && list_empty(&free_blocks[found]))
        found++;
    if (found > MAX_ORDER || free_count < (1ul << order) + left)
        return NULL;
    struct page *block = VARIANT == VARIANT_TOP_DOWN ? highest(&free_blocks[found]) : free_blocks[found].next;
    if (FAULT == FAULT_RACE_BUDDY)
        window();
    list_drop(block);
    while (found > order) {
        found--;
        struct page *rest = block + (1u << found);
        if (VARIANT == VARIANT_TOP_DOWN) {
            rest = block;
            block += 1u << found;
        }
        block_add(rest, found);
    }
    block->state = BLOCK;
    block->order = order;
    free_count -= 1ul << order;
    return block;
}

/* Give a block back, merged with its buddies. */
static void block_give(struct page *block, unsigned order)
{
    unsigned most = FAULT == FAULT_MERGE_FIVE && order < 5 ? order + 5 : MAX_ORDER;
    if (FAULT == FAULT_MERGE_PAST_MAX)
        most = MAX_ORDER + 1;
    if (FAULT == FAULT_HIGH_RESERVE_LEAKS && free_count < RESERVE && ++reserve_frees % 8 == 0)
        return;
    free_count += 1ul << order;
    for (; order < most && FAULT != FAULT_MERGE_NEVER; order++) {
        struct page *buddy = pages + ((size_t)(block - pages) ^ (1u << order));
        if (buddy->state != FREE)
            break;
        if (buddy->order != order && FAULT != FAULT_MERGE_ANY_ORDER)
            break;
        list_drop(buddy);
        block->state = buddy->state = INNER;
        if (buddy < block)
            block = buddy;
    }
    block_add(block, order);
}

#endif
