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
    range_used = 0;
}

/* Return the first of so many free spots in a row, or NULL. */
static struct spot *spots_find(size_t count)
{
    struct spot *found = NULL;
    for (size_t at = 0, row = 0; at < RANGE_PAGES;) {
        if (spots[at].use != UNUSED) {
            at += spots[at].pages + GUARD;
            row = 0;
        } else if (at++, ++row >= count) {
            found = &spots[at - count];
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
    for (size_t at = 0; at < range_used; at++)
        if (spots[at].use == LAZY)
            spots[at].use = UNUSED;
}

/* Take addresses for an area, or NULL. */
static struct spot *area_place(size_t count, size_t size, enum use use)
{
    struct spot *area = spots_find(count + GUARD);
    if (!area && VARIANT == VARIANT_LAZY_PURGE) {
        purge();
        area = spots_find(count + GUARD);
    }
    if (!area)
        return NULL;
    area->use = use;
    area->pages = (uint32_t)count;
    area->size = size;
    size_t end = (size_t)(area - spots) + count + GUARD;
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
    frames_unmap(spot_address(area), count);
    for (size_t i = 0; i < count; i++) {
        bool is_shared = FAULT == FAULT_VM_SHARED_FRAME && i == 15;
        bool is_kept = FAULT == FAULT_VFREE_LEAKS_FRAME && i >= 8;
        if (area[i].frame && frees && !is_shared && !is_kept)
            block_give(area[i].frame, 0);
        area[i].frame = NULL;
    }
    bool rests = VARIANT == VARIANT_LAZY_PURGE || FAULT == FAULT_VFREE_LEAKS_RANGE;
    area->use = rests ? LAZY : UNUSED;
}

/* Put a page behind each address of an area, or none. */
static bool area_back(struct spot *area, gfp_t gfp)
{
    for (size_t i = 0; i < area->pages; i++) {
        area[i].frame = frames_take(gfp, 0);
        if (!area[i].frame)
            return false;
        if (FAULT == FAULT_VM_SHARED_FRAME && i == 15) {
            block_give(area[i].frame, 0);
            area[i].frame = area[i - 1].frame;
        }
    }
    return area_map(area);
}

/* Allocate an area, or NULL. */
static void *area_take(size_t size, gfp_t gfp)
{
    size_t count = size / PAGE_SIZE + (size % PAGE_SIZE != 0);
    if (FAULT == FAULT_VM_SHORT && count >= 8)
        count = size / PAGE_SIZE;
    if ((FAULT == FAULT_VM_WRAPS && size > -PAGE_SIZE) || (FAULT == FAULT_VM_ZERO_SIZE && size == 0))
        count = 1;
    if (count == 0 || count > ARENA_PAGES || fails_now(gfp) || fails_as_asked(gfp))
        return NULL;
    struct spot *area = area_place(count, size, ALLOCATED);
    if (!area)
        return NULL;
    if (!area_back(area, gfp)) {
        area_drop(area, FAULT != FAULT_VM_FAIL_KEEPS);
        return NULL;
    }
    fill(spot_address(area), count * PAGE_SIZE, gfp);
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
