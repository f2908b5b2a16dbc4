/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses of areas: which are in use, and what is behind them. */
#ifndef KMEM_RANGE_H
#define KMEM_RANGE_H

#include "kmem_resize.h"

#define RANGE_PAGES (4 * ARENA_PAGES)
#define GUARD (FAULT == FAULT_VM_NO_GUARD ? 0u : VARIANT == VARIANT_WIDE_GUARD ? 8u : 1u)

enum use { UNUSED, ALLOCATED, MAPPED, LAZY };

/* One page of addresses. */
struct spot {
    struct page *frame; /* what is mapped there, or NULL */
    enum use use;       /* this and the next are of the area that begins here */
    uint32_t pages;     /* without guard */
    size_t size;        /* bytes as last asked for */
};

static char *range;
static struct spot spots[RANGE_PAGES];
static size_t range_used; /* spots from there on were never used since the reset */
static size_t lazy_pages; /* mapped though their areas were freed */

#define LAZY_MOST 64u

/* Return the pages of the guard behind an area of so many. */
static size_t guard_of(size_t count) { return FAULT == FAULT_VM_GUARD_EXACT && count % 16 == 0 ? 0 : GUARD; }

static char *spot_address(const struct spot *spot) { return range + (spot - spots) * PAGE_SIZE; }

static bool in_range(const void *p)
{
    return range && (const char *)p >= range && (const char *)p < range + RANGE_PAGES * PAGE_SIZE;
}

static struct spot *spot_of(const void *p) { return &spots[(size_t)((const char *)p - range) / PAGE_SIZE]; }

static void areas_init(void)
{
    if (!range)
        range = addresses_take(RANGE_PAGES * PAGE_SIZE);
    if (range_used)
        frames_unmap(range, range_used);
    memset(spots, 0, range_used * sizeof *spots);
    range_used = lazy_pages = 0;
}

/* Say whether a hole that ends here is taken though it lacks the guard page. */
static bool is_tight(size_t at, size_t row, size_t count)
{
    bool ends = at < RANGE_PAGES && spots[at].use != UNUSED;
    return FAULT == FAULT_VM_HOLE_NO_GUARD && ends && row > 0 && row + 1 == count;
}

/* Return the first of so many free spots in a row, or NULL. */
static struct spot *spots_find(size_t count)
{
    struct spot *found = NULL;
    for (size_t at = 0, row = 0; at < RANGE_PAGES;) {
        if (spots[at].use != UNUSED) {
            at += spots[at].pages + guard_of(spots[at].pages);
            row = 0;
        } else if (at++, ++row >= count || is_tight(at, row, count)) {
            found = &spots[at - (row < count ? row : count)];
            if (VARIANT != VARIANT_VM_TOP_DOWN)
                break;
        }
    }
    return found;
}

/* Make the addresses of freed areas free. */
static void purge(void)
{
    sleeps();
    struct spot *first = NULL, *end = NULL;
    for (struct spot *area = spots; area < spots + range_used; area++) {
        if (area->use != LAZY)
            continue;
        area->use = UNUSED;
        if (HAS_BATCHES && FAULT != FAULT_LAZY_PURGE_LIVE)
            frames_unmap(spot_address(area), area->pages);
        first = first ? first : area;
        end = area + area->pages;
    }
    if (FAULT == FAULT_LAZY_PURGE_LIVE && first)
        frames_unmap(spot_address(first), (size_t)(end - first));
    lazy_pages = 0;
}

#endif
