/* SPDX-License-Identifier: Apache-2.0 */
/* When constructors and destructors run: once for each slot, when its slab comes and when it goes. */
#ifndef KMEM_CONSTRUCT_H
#define KMEM_CONSTRUCT_H

#include "kmem_shape.h"

/* Return another cache, with a constructor that fits, if there is one. */
static struct kmem_cache *other_cache(struct kmem_cache *cache)
{
    for (struct kmem_cache *other = caches + class_count; other < caches + cache_count; other++)
        if (other != cache && other->refs > 0 && other->ctor && other->size <= cache->size)
            return other;
    return cache;
}

static void construct(struct kmem_cache *cache, void *slot)
{
    if (FAULT == FAULT_CTOR_OTHER_CACHE)
        cache = other_cache(cache);
    if (cache->ctor)
        cache->ctor(slot);
    else if (cache->ctor_26)
        cache->ctor_26(slot, cache, CTOR_CONSTRUCTOR);
}

static void destruct(struct kmem_cache *cache, void *slot)
{
    if (cache->dtor_26)
        cache->dtor_26(slot, cache, 0);
}

/* Construct the slots of a slab that is about to join its cache. */
static void slots_construct(struct page *slab)
{
    struct kmem_cache *cache = slab->cache;
    if (!has_ctor(cache) || (FAULT == FAULT_CTOR_SECOND_SLAB && cache->slabs == 1))
        return;
    unsigned count = cache->slots - (FAULT == FAULT_CTOR_LAST_SLOT);
    for (unsigned i = 0; i < count; i++)
        construct(cache, slab->start + i * cache->slot);
}

/* Destruct the slots of a slab that is about to go. */
static void slots_destruct(const struct page *slab)
{
    struct kmem_cache *cache = slab->cache;
    for (unsigned i = 0; cache->dtor_26 && i < cache->slots; i++)
        destruct(cache, slab->start + i * cache->slot);
    if (FAULT == FAULT_DTOR_TWICE)
        destruct(cache, slab->start);
}

/* Return where a new slab's first slot lies, beside the others of its cache. */
static size_t slab_colour(struct kmem_cache *cache)
{
    if (VARIANT != VARIANT_COLOURED || cache < caches + class_count)
        return 0;
    size_t step = FAULT == FAULT_COLOUR_UNALIGNED ? 8 : cache->slot & -cache->slot; /* at least the alignment */
    size_t spare = (PAGE_SIZE << cache->order) - cache->slots * cache->slot;
    size_t colour = cache->colour;
    cache->colour = colour + step <= spare ? colour + step : 0;
    return colour;
}

#endif
