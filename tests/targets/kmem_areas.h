/* SPDX-License-Identifier: Apache-2.0 */
/* Areas: addresses in a row with pages of the arena from anywhere behind them, and a guard behind each. */
#ifndef KMEM_AREAS_H
#define KMEM_AREAS_H

#include "kmem_objects.h"

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
static bool is_reused;    /* the area at hand was lazily freed and is still mapped */

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

/* Return an area of that size that was lazily freed, or NULL. */
static struct spot *area_stale(size_t count)
{
    for (struct spot *area = spots; FAULT == FAULT_LAZY_REUSED_STALE && area < spots + range_used; area++)
        if (area->use == LAZY && area->pages == count)
            return area;
    return NULL;
}

/* Take addresses for an area, or NULL. */
static struct spot *area_place(size_t count, size_t size, enum use use)
{
    struct spot *area = area_stale(count);
    is_reused = area;
    if (!area)
        area = spots_find(count + guard_of(count));
    if (!area && (VARIANT == VARIANT_LAZY_PURGE || HAS_BATCHES)) {
        purge();
        area = spots_find(count + guard_of(count));
    }
    if (!area)
        return NULL;
    if (FAULT == FAULT_RACE_VM_HOLE)
        window();
    area->use = use;
    area->pages = (uint32_t)count;
    area->size = size;
    size_t end = (size_t)(area - spots) + count + guard_of(count);
    if (range_used < end)
        range_used = end;
    return area;
}

/* Map the pages of an area, those in a row at once. */
static bool area_map(struct spot *area)
{
    size_t row;
    for (size_t i = 0; i < area->pages; i += row) {
        row = 1;
        while (i + row < area->pages && area[i + row].frame == area[i].frame + row)
            row++;
        if (!frames_map(spot_address(area + i), area[i].frame, row))
            return false;
    }
    return true;
}

/* Undo what was made of an area; with `frees` its pages are given back. */
static void area_drop(struct spot *area, bool frees)
{
    size_t count = area->pages;
    if (FAULT == FAULT_RACE_VFREE) {
        area->use = UNUSED;
        window();
    }
    if (!HAS_BATCHES)
        frames_unmap(spot_address(area), count);
    for (size_t i = 0; i < count; i++) {
        bool is_shared = FAULT == FAULT_VM_SHARED_FRAME && i == 15;
        bool is_kept = FAULT == FAULT_VFREE_LEAKS_FRAME && i >= 8;
        if (area[i].frame && frees && !is_shared && !is_kept)
            frames_give(area[i].frame, 0);
        area[i].frame = NULL;
    }
    bool rests = VARIANT == VARIANT_LAZY_PURGE || FAULT == FAULT_VFREE_LEAKS_RANGE || HAS_BATCHES;
    area->use = rests ? LAZY : UNUSED;
    lazy_pages += count;
    if (HAS_BATCHES && lazy_pages > LAZY_MOST)
        purge();
}

/* Put a page behind each address of an area, or none. */
static bool area_back(struct spot *area, gfp_t gfp)
{
    for (size_t i = 0; i < area->pages; i++) {
        area[i].frame = frames_take(gfp, 0);
        if (!area[i].frame)
            return false;
        if (FAULT == FAULT_VM_SHARED_FRAME && i == 15) {
            frames_give(area[i].frame, 0);
            area[i].frame = area[i - 1].frame;
        }
    }
    return is_reused || area_map(area);
}

/* Allocate an area, or NULL. */
static void *area_take(size_t size, gfp_t gfp)
{
    size_t count = size / PAGE_SIZE + (size % PAGE_SIZE != 0);
    if (FAULT == FAULT_VM_SHORT && count >= 8)
        count = size / PAGE_SIZE;
    if (FAULT == FAULT_VM_COUNT_32)
        count = (uint32_t)count;
    if ((FAULT == FAULT_VM_WRAPS && size > -PAGE_SIZE) || (FAULT == FAULT_VM_ZERO_SIZE && size == 0))
        count = 1;
    if (count == 0 || count > ARENA_PAGES || fails_now(gfp) || fails_as_asked(gfp))
        return NULL;
    struct spot *area = area_place(count, size, ALLOCATED);
    if (!area)
        return NULL;
    if (!area_back(area, gfp)) {
        area_drop(area, FAULT != FAULT_VM_FAIL_KEEPS);
        if (FAULT == FAULT_VM_FAIL_KEEPS_RANGE)
            area->use = LAZY;
        return NULL;
    }
    fill(spot_address(area), FAULT == FAULT_VREALLOC_GROW_DIRTY ? size : count * PAGE_SIZE, gfp);
    return spot_address(area);
}

/* Return the area that begins at an address, or NULL. */
static struct spot *area_at(const void *p, enum use use)
{
    if (!in_range(p) || (uintptr_t)p % PAGE_SIZE != 0 || spot_of(p)->use != use)
        return NULL;
    return spot_of(p);
}

#endif
