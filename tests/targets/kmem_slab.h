/* SPDX-License-Identifier: Apache-2.0 */
/* Slabs: blocks of pages cut into slots of one size. Free slots are linked through a word of theirs. */
#ifndef KMEM_SLAB_H
#define KMEM_SLAB_H

#include "kmem_construct.h"

static unsigned frees;

static void **link_of(const struct page *slab, void *slot)
{
    return (void **)((char *)slot + slab->cache->link);
}

/* Link a slot into its slab's free list. */
static void slot_link(struct page *slab, void *slot)
{
    void **place = &slab->first; /* the link that will lead to the slot */
    if (VARIANT == VARIANT_FIFO && slab->first)
        place = link_of(slab, slab->last);
    while (VARIANT == VARIANT_ADDRESS_ORDER && *place && *place < slot)
        place = link_of(slab, *place);
    *link_of(slab, slot) = *place;
    *place = slot;
    if (!*link_of(slab, slot))
        slab->last = slot;
}

static struct page *slab_make(struct kmem_cache *cache, gfp_t gfp)
{
    struct page *slab = exhausted ? NULL : frames_take(gfp, cache->order);
    if (!slab && FAULT == FAULT_SLAB_ORDER_FALLBACK && cache->slot <= PAGE_SIZE)
        slab = frames_take(gfp, 0);
    if (!slab) {
        exhausted = FAULT == FAULT_EXHAUSTED_FOR_EVER;
        return NULL;
    }
    for (unsigned i = 0; i < 1u << cache->order; i++) {
        slab[i].state = SLAB;
        slab[i].slab = slab;
    }
    slab->cache = cache;
    slab->first = slab->last = NULL;
    slab->in_use = 0;
    slab->start = (char *)address_of(slab) + cache->offset + slab_colour(cache);
    if (FAULT != FAULT_CTOR_ATOMIC || may_sleep(gfp))
        slots_construct(slab);
    for (unsigned i = cache->slots; i-- > 0;)
        slot_link(slab, slab->start + i * cache->slot);
    list_add(&cache->room, slab);
    cache->slabs++;
    cache->empty++;
    return slab;
}

static void slab_drop(struct page *slab)
{
    struct kmem_cache *cache = slab->cache;
    slots_destruct(slab);
    list_drop(slab);
    cache->slabs--;
    if (slab->in_use == 0)
        cache->empty--;
    for (unsigned i = 0; i < 1u << cache->order; i++)
        slab[i].state = INNER;
    frames_give(slab, cache->order);
}

/* Give back all empty slabs of a cache; say whether there was one. */
static bool slabs_drop(struct kmem_cache *cache, unsigned live)
{
    bool any = false;
    for (struct page *slab = cache->room.next, *next; slab != &cache->room; slab = next) {
        next = slab->next;
        if (slab->in_use > live)
            continue;
        slab_drop(slab);
        any = true;
    }
    return any;
}

static void *slot_take(struct kmem_cache *cache, gfp_t gfp)
{
    if (list_empty(&cache->room) && !slab_make(cache, gfp) && list_empty(&cache->room))
        return NULL;
    struct page *slab = cache->room.next;
    void *slot = slab->first;
    if (slab->in_use++ == 0)
        cache->empty--;
    if (FAULT == FAULT_COUNTER_8_BITS)
        slab->in_use &= 0xff;
    if (FAULT == FAULT_DOUBLE_HAND_OUT && frees >= 300) {
        frees = 0;
        return slot;
    }
    if (FAULT == FAULT_HAND_OUT_5000 && cache->frees == 5000) {
        cache->frees++;
        return slot;
    }
    if (FAULT == FAULT_THIRD_SLAB_LAST && cache->slabs == 3 && slab->in_use == cache->slots)
        return slot;
    if (FAULT == FAULT_RACE_FREELIST)
        window();
    slab->first = *link_of(slab, slot);
    if (!slab->first)
        list_drop(slab);
    if (FAULT == FAULT_CTOR_AGAIN && cache->frees > 0)
        construct(cache, slot);
    return slot;
}

/* Do what the faults of kfree do to memory around the slot. */
static void damage(const struct page *slab, char *slot)
{
    size_t size = slab->cache->slot;
    bool is_last = slot + 2 * size > (char *)address_of(slab) + (PAGE_SIZE << slab->cache->order);
    if (FAULT == FAULT_NEIGHBOUR_LINK && !is_last)
        *(void **)(slot + size) = slab->first;
    if (FAULT == FAULT_POISON_BEYOND)
        memset(slot, 0x6b, is_last ? size : size + 8);
    while (FAULT == FAULT_HANG_RARE && size == 96 && !slab->first)
        ;
}

/* Say whether a slab that became empty stays. Some faults are of slabs or blocks that come and go. */
static bool keeps_empty(const struct kmem_cache *cache)
{
    if (FAULT == FAULT_SLAB_FREED_EARLY || FAULT == FAULT_COUNTER_8_BITS || VARIANT == VARIANT_DROP_SLABS)
        return false;
    if (FAULT == FAULT_EXHAUSTED_FOR_EVER || FAULT == FAULT_MERGE_ANY_ORDER)
        return false;
    return VARIANT == VARIANT_KEEP_SLABS || cache->empty <= 2;
}

static void slot_give(void *slot)
{
    struct page *slab = page_of(slot)->slab;
    struct kmem_cache *cache = slab->cache;
    if (FAULT == FAULT_FREE_WRONG_SLAB && cache >= caches + class_count && !list_empty(&cache->room))
        slab = cache->room.next;
    bool was_full = !slab->first;
    damage(slab, slot);
    if (FAULT == FAULT_DTOR_AT_FREE)
        destruct(cache, slot);
    slot_link(slab, slot);
    frees++;
    cache->frees++;
    unsigned left = slab->in_use - 1;
    if (FAULT == FAULT_RACE_IN_USE)
        window();
    slab->in_use = left;
    if (FAULT == FAULT_COUNTER_8_BITS)
        slab->in_use &= 0xff;
    cache->empty += slab->in_use == 0;
    bool is_empty = slab->in_use == (FAULT == FAULT_SLAB_FREED_EARLY ? 1 : 0);
    if (was_full && FAULT == FAULT_FULL_SLAB_LOST)
        slab->in_use++;
    else if (was_full)
        list_add(&cache->room, slab);
    if (is_empty && !keeps_empty(cache))
        slab_drop(slab);
}

static bool wake_all(void); /* kmem_objects.h */

/* Look for memory in what is kept for later; say whether there was any. */
static bool reclaim(gfp_t gfp)
{
    bool any = wake_all();
    if (!may_sleep(gfp) && !(FAULT == FAULT_ATOMIC_SLEEPS && gfp & GFP_HIGH))
        return any;
    sleeps();
    for (unsigned i = 0; VARIANT != VARIANT_KEEP_SLABS && i < cache_count; i++)
        any |= caches[i].empty > 0 && slabs_drop(&caches[i], 0);
    return any;
}

#endif
