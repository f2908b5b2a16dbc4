/* SPDX-License-Identifier: Apache-2.0 */
/* Slabs: blocks of pages cut into slots of one size. Free slots are linked through their first word. */
#ifndef KMEM_SLAB_H
#define KMEM_SLAB_H

#include <string.h>

#include "kmem_pages.h"

#define MAX_CLASS 8192ul
#define MAX_CACHES 80

struct cache {
    size_t size, offset; /* of a slot; of the first slot in the slab */
    unsigned order, slots;
    struct page room; /* head of the list of slabs with a free slot */
};

static struct cache caches[MAX_CACHES];
static unsigned cache_count;
static unsigned frees;

static void cache_add(size_t size)
{
    struct cache *cache = &caches[cache_count++];
    *cache = (struct cache){.size = size};
    if (FAULT == FAULT_HEADER_BEFORE_OBJECT)
        cache->offset = 8;
    if (FAULT == FAULT_PAGE_HALF_ALIGNED && size == PAGE_SIZE)
        cache->offset = 2048;
    while (cache->order < 3 && (PAGE_SIZE << cache->order) / size < 8)
        cache->order++;
    cache->slots = (unsigned)(((PAGE_SIZE << cache->order) - cache->offset) / size);
    list_init(&cache->room);
}

static void slabs_init(void)
{
    cache_count = frees = 0;
    if (VARIANT == VARIANT_PAGE_EACH)
        return;
    if (VARIANT == VARIANT_FINE_CLASSES) {
        for (size_t size = 16; size <= 1024; size += 16)
            cache_add(size);
        for (size_t size = 2048; size <= MAX_CLASS; size *= 2)
            cache_add(size);
        return;
    }
    for (size_t size = 8; size <= MAX_CLASS; size *= 2) {
        cache_add(size);
        if (size == 64 || size == 128)
            cache_add(size + size / 2);
    }
}

/* Return the cache of the smallest slot that holds size, or NULL where only pages do. */
static struct cache *cache_for(size_t size)
{
    if (FAULT == FAULT_CLASS_193 && size == 193)
        size = 192;
    for (unsigned i = 0; i < cache_count; i++)
        if (caches[i].size >= size)
            return &caches[i];
    return NULL;
}

/* Link a slot into its slab's free list. */
static void slot_link(struct page *slab, void *slot)
{
    void **place = &slab->first; /* the link that will lead to the slot */
    if (VARIANT == VARIANT_FIFO && slab->first)
        place = (void **)slab->last;
    while (VARIANT == VARIANT_ADDRESS_ORDER && *place && *place < slot)
        place = (void **)*place;
    *(void **)slot = *place;
    *place = slot;
    if (!*(void **)slot)
        slab->last = slot;
}

static struct page *slab_make(struct cache *cache)
{
    struct page *slab = exhausted ? NULL : block_take(cache->order);
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
    char *end = (char *)address_of(slab) + cache->offset + cache->slots * cache->size;
    for (unsigned i = 1; i <= cache->slots; i++)
        slot_link(slab, end - i * cache->size);
    list_add(&cache->room, slab);
    return slab;
}

static void slab_drop(struct page *slab)
{
    list_drop(slab);
    for (unsigned i = 0; i < 1u << slab->cache->order; i++)
        slab[i].state = INNER;
    block_give(slab, slab->cache->order);
}

static void *slot_take(struct cache *cache)
{
    struct page *slab = list_empty(&cache->room) ? slab_make(cache) : cache->room.next;
    if (!slab)
        return NULL;
    void *slot = slab->first;
    slab->in_use++;
    if (FAULT == FAULT_COUNTER_8_BITS)
        slab->in_use &= 0xff;
    if (FAULT == FAULT_DOUBLE_HAND_OUT && frees >= 300) {
        frees = 0;
        return slot;
    }
    slab->first = *(void **)slot;
    if (!slab->first)
        list_drop(slab);
    return slot;
}

/* Do what the faults of kfree do to memory around the slot. */
static void damage(const struct page *slab, char *slot)
{
    size_t size = slab->cache->size;
    bool is_last = slot + 2 * size > (char *)address_of(slab) + (PAGE_SIZE << slab->cache->order);
    if (FAULT == FAULT_NEIGHBOUR_LINK && !is_last)
        *(void **)(slot + size) = slab->first;
    if (FAULT == FAULT_POISON_BEYOND)
        memset(slot, 0x6b, is_last ? size : size + 8);
    while (FAULT == FAULT_HANG_RARE && size == 96 && !slab->first)
        ;
}

static void slot_give(void *slot)
{
    struct page *slab = page_of(slot)->slab;
    bool was_full = !slab->first;
    damage(slab, slot);
    slot_link(slab, slot);
    frees++;
    slab->in_use--;
    if (FAULT == FAULT_COUNTER_8_BITS)
        slab->in_use &= 0xff;
    bool is_empty = slab->in_use == (FAULT == FAULT_SLAB_FREED_EARLY ? 1 : 0);
    if (was_full && FAULT == FAULT_FULL_SLAB_LOST)
        slab->in_use++;
    else if (was_full)
        list_add(&slab->cache->room, slab);
    if (is_empty && VARIANT != VARIANT_KEEP_SLABS)
        slab_drop(slab);
}

#endif
