/* SPDX-License-Identifier: Apache-2.0 */
/* The memory: a file in memory that is mapped twice, as a whole and, page by page, where areas need it. */
#ifndef KMEM_ARENA_H
#define KMEM_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kmem_window.h"

#ifndef ARENA_MB
#define ARENA_MB (VARIANT == VARIANT_SMALL_ARENA ? 4 : 32)
#endif

#define PAGE_SIZE 4096ul
#define MAX_ORDER 10u
#define MAX_BLOCK (PAGE_SIZE << MAX_ORDER)
#define ARENA_PAGES (ARENA_MB * 256ul)
#define RESERVE 32ul /* pages beside those, as many as only __GFP_HIGH reaches */
_Static_assert(ARENA_PAGES >= 1024 && ARENA_PAGES % 1024 == 0, "the arena is made of blocks of order 10");

enum state { INNER, FREE, HELD, BLOCK, LARGE, SLAB };

struct page {
    struct page *next, *prev; /* on a list of free blocks, or of slabs with room */
    enum state state;         /* of the block that begins here; SLAB is on every page of the slab */
    unsigned order;
    struct page *slab;        /* SLAB: the page where the slab begins, which has the rest */
    struct kmem_cache *cache;
    char *start;              /* the first slot */
    void *first, *last;       /* free slots, each linked to the next */
    unsigned in_use;
};

static char *arena;
static int arena_file;
static struct page pages[ARENA_PAGES + 2 * RESERVE]; /* those beyond the reserve are never free */

static void *address_of(const struct page *page) { return arena + (page - pages) * PAGE_SIZE; }

static struct page *page_of(const void *address)
{
    return pages + ((size_t)((const char *)address - arena) / PAGE_SIZE);
}

/* Return size bytes of addresses from a multiple of MAX_BLOCK on, with nothing behind them. */
static char *addresses_take(size_t size)
{
    char *taken = mmap(NULL, size + MAX_BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (taken == MAP_FAILED)
        __builtin_trap();
    return taken + (-(uintptr_t)taken & (MAX_BLOCK - 1));
}

/* Map count pages of the arena in a row at an address, too. */
static bool frames_map(char *at, const struct page *first, size_t count)
{
    off_t offset = (off_t)((size_t)(first - pages) * PAGE_SIZE);
    return mmap(at, count * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, arena_file, offset) !=
           MAP_FAILED;
}

static void frames_unmap(char *at, size_t count)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    if (mmap(at, count * PAGE_SIZE, PROT_NONE, flags, -1, 0) == MAP_FAILED)
        __builtin_trap();
}

/* Map the arena, at the first call; its pages are made when they are touched. */
static void arena_map(void)
{
    if (arena)
        return;
    arena_file = memfd_create("kmem", MFD_CLOEXEC);
    if (arena_file < 0 || ftruncate(arena_file, (ARENA_PAGES + RESERVE) * PAGE_SIZE) != 0)
        __builtin_trap();
    arena = addresses_take((ARENA_PAGES + RESERVE) * PAGE_SIZE);
    if (!frames_map(arena, pages, ARENA_PAGES + RESERVE))
        __builtin_trap();
}

#endif
