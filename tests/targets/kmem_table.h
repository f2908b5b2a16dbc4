/* SPDX-License-Identifier: Apache-2.0 */
/* The table of caches: places in it, and caches that become one. */
#ifndef KMEM_TABLE_H
#define KMEM_TABLE_H

#include "kmem_lock.h"

/* Look for a cache that another like it may share. */
static struct kmem_cache *mergeable(const struct kmem_cache *like, unsigned long flags)
{
    if (VARIANT != VARIANT_MERGED_CACHES || has_ctor(like) || flags & SLAB_NEVER_MERGE)
        return NULL;
    for (unsigned i = 0; i < cache_count; i++) {
        size_t spare = caches[i].slot - like->slot;
        bool fits = spare == 0 || (FAULT == FAULT_ALIAS_ALIGN_LOST && spare < 64);
        if (caches[i].refs > 0 && fits && (!caches[i].link || FAULT == FAULT_ALIAS_INTO_CTOR))
            return &caches[i];
    }
    return NULL;
}

/* Return a place for a cache in the table, or NULL. */
static struct kmem_cache *cache_place(void)
{
    struct kmem_cache *place = caches + class_count;
    while (place < caches + cache_count && place->refs > 0)
        place++;
    if (place == caches + MAX_CACHES)
        return NULL;
    if (place == caches + cache_count)
        cache_count++;
    return place;
}

/* Make a cache of that shape and constructor, or NULL. */
static struct kmem_cache *cache_make(struct kmem_cache made, size_t size, size_t align, unsigned long flags)
{
    bool apart = has_ctor(&made) || flags & SLAB_TYPESAFE_BY_RCU;
    if (size == 0 || size > MAX_SIZE || align > MAX_SIZE || flags & ~(unsigned long)SLAB_PERMITTED)
        return NULL;
    size_t laid_out = FAULT == FAULT_CACHE_SIZE_DOWN && size > 8 ? size & ~7ul : size;
    if (!cache_shape(&made, laid_out, cache_alignment(size, align, flags), apart))
        return NULL;
    made.size = size;
    if (fails_now(GFP_KERNEL) || fails_as_asked(GFP_KERNEL)) {
        struct kmem_cache *kept = FAULT == FAULT_CREATE_FAIL_KEEPS ? cache_place() : NULL;
        if (kept)
            kept->refs = 1;
        return NULL;
    }
    struct kmem_cache *cache = mergeable(&made, flags);
    if (cache) {
        cache->refs = FAULT == FAULT_ALIAS_REFS_8 ? (uint8_t)(cache->refs + 1) : cache->refs + 1;
        if (FAULT != FAULT_ALIAS_SIZE_OLD)
            cache->size = cache->size > size ? cache->size : size;
        return cache;
    }
    cache = cache_place();
    if (!cache)
        return NULL;
    if (FAULT == FAULT_RACE_CREATE)
        window();
    *cache = made;
    cache->refs = 1;
    list_init(&cache->room);
    return cache;
}

#endif
