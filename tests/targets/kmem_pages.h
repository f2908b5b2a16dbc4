/* SPDX-License-Identifier: Apache-2.0 */
/* An arena of pages, with a buddy allocator over it. Descriptors are apart from the pages. */
#ifndef KMEM_PAGES_H
#define KMEM_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "kmem_faults.h"

#ifndef ARENA_MB
#define ARENA_MB (VARIANT == VARIANT_SMALL_ARENA ? 4 : 64)
#endif

#define PAGE_SIZE 4096ul
#define MAX_ORDER 10u
#define MAX_BLOCK (PAGE_SIZE << MAX_ORDER)
#define ARENA_PAGES (ARENA_MB * 256ul)
_Static_assert(ARENA_PAGES >= 1024 && ARENA_PAGES % 1024 == 0, "the arena is made of blocks of order 10");

enum state { INNER, FREE, BLOCK, LARGE, SLAB };

struct page {
    struct page *next, *prev; /* on a list of free blocks, or of slabs with room */
    enum state state;         /* of the block that begins here; SLAB is on every page of the slab */
    unsigned order;
    struct page *slab;        /* SLAB: the page where the slab begins, which has the rest */
    struct cache *cache;
    void *first, *last;       /* free slots, each linked to the next */
    unsigned in_use;
};

static char *arena;
static struct page pages[ARENA_PAGES];
static struct page free_blocks[MAX_ORDER + 1]; /* heads of lists */
static bool exhausted;

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

static void *address_of(const struct page *page) { return arena + (page - pages) * PAGE_SIZE; }

static struct page *page_of(const void *address)
{
    return pages + ((size_t)((const char *)address - arena) / PAGE_SIZE);
}

static void block_add(struct page *block, unsigned order)
{
    block->state = FREE;
    block->order = order;
    list_add(&free_blocks[order], block);
}

/* Make all pages free; the first call maps them. */
static void pages_init(void)
{
    if (!arena) {
        char *mapped = mmap(NULL, ARENA_PAGES * PAGE_SIZE + MAX_BLOCK, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (mapped == MAP_FAILED)
            __builtin_trap();
        arena = mapped + (-(uintptr_t)mapped & (MAX_BLOCK - 1));
    }
    for (unsigned order = 0; order <= MAX_ORDER; order++)
        list_init(&free_blocks[order]);
    for (size_t i = ARENA_PAGES; i-- > 0;) {
        pages[i].state = INNER;
        if (i % 1024 == 0)
            block_add(&pages[i], MAX_ORDER);
    }
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

/* Take a block of 1 << order pages, or NULL. */
static struct page *block_take(unsigned order)
{
    unsigned found = order;
    while (found <= MAX_ORDER && list_empty(&free_blocks[found]))
        found++;
    if (found > MAX_ORDER)
        return NULL;
    struct page *block = VARIANT == VARIANT_TOP_DOWN ? highest(&free_blocks[found]) : free_blocks[found].next;
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
    return block;
}

/* Give a block back, merged with its buddies. */
static void block_give(struct page *block, unsigned order)
{
    for (; order < MAX_ORDER && FAULT != FAULT_MERGE_NEVER; order++) {
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
