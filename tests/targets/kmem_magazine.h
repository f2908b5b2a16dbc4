/* SPDX-License-Identifier: Apache-2.0 */
/* Magazines: free slots that each CPU keeps for itself, full of what the last user left there. */
#ifndef KMEM_MAGAZINE_H
#define KMEM_MAGAZINE_H

#include "kmem_slab.h"

#define MAGAZINE 16u

struct magazine {
    unsigned count;
    void *slots[MAGAZINE];
};

static struct magazine magazines[CPUS][HAS_MAGAZINES ? MAX_CACHES : 1];

static struct magazine *magazine_of(const struct kmem_cache *cache)
{
    return &magazines[this_cpu()][cache - caches];
}

/* Give the slots of a magazine back to their slabs, but for some; say whether there were any. */
static bool magazine_flush(struct magazine *magazine, unsigned left)
{
    bool any = magazine->count > left;
    while (magazine->count > left)
        slot_give(magazine->slots[--magazine->count]);
    if (FAULT == FAULT_MAG_FLUSH_KEEPS_LAST && any && left > 0)
        magazine->count++;
    return any;
}

static bool magazines_flush(void)
{
    bool any = false;
    for (unsigned cpu = 0; HAS_MAGAZINES && cpu < CPUS; cpu++)
        for (unsigned i = 0; i < cache_count; i++)
            any |= magazine_flush(&magazines[cpu][i], 0);
    return any;
}

/* Fill a magazine to the half, as far as that takes nobody's sleep. */
static void magazine_fill(struct magazine *magazine, struct kmem_cache *cache, gfp_t gfp)
{
    for (unsigned i = 0; i < MAGAZINE / 2; i++) { /* where memory is short the magazine is flushed meanwhile */
        unsigned count = magazine->count;
        void *slot = slot_take(cache, gfp & ~(GFP_DIRECT_RECLAIM | GFP_HIGH | GFP_MEMALLOC | GFP_NOFAIL));
        if (FAULT == FAULT_MAG_REFILL_STALE)
            magazine->count = count;
        if (!slot)
            break;
        magazine->slots[magazine->count++] = slot;
    }
}

/* Take a free slot of a cache, or NULL. */
static void *slot_get(struct kmem_cache *cache, gfp_t gfp)
{
    if (!HAS_MAGAZINES)
        return slot_take(cache, gfp);
    struct magazine *magazine = magazine_of(cache);
    if (magazine->count == 0) {
        void *first = slot_take(cache, gfp);
        if (first)
            magazine_fill(magazine, cache, gfp);
        return first;
    }
    unsigned left = magazine->count - 1;
    if (FAULT == FAULT_RACE_MAGAZINE)
        window();
    magazine->count = left;
    return magazine->slots[left];
}

static void slot_put(void *slot)
{
    if (!HAS_MAGAZINES) {
        slot_give(slot);
        return;
    }
    struct magazine *magazine = magazine_of(page_of(slot)->slab->cache);
    if (magazine->count == MAGAZINE)
        magazine_flush(magazine, MAGAZINE / 2);
    magazine->slots[magazine->count++] = slot;
}

#endif
