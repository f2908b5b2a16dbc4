/* SPDX-License-Identifier: Apache-2.0 */
/* Areas: addresses in a row with pages of the arena from anywhere behind them, and a guard behind each. */
#ifndef KMEM_AREAS_H
#define KMEM_AREAS_H

#include "kmem_range.h"

static bool is_reused; /* the area at hand was lazily freed and is still mapped */

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
