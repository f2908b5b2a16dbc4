/* SPDX-License-Identifier: Apache-2.0 */
/* The calls on caches. */
#ifndef KMEM_CALLS_CACHE_H
#define KMEM_CALLS_CACHE_H

#include "kmem_lock.h"

/* Look for a cache that another like it may share. */
static struct kmem_cache *mergeable(const struct kmem_cache *like, unsigned long flags)
{
    if (VARIANT != VARIANT_MERGED_CACHES || has_ctor(like) || flags & SLAB_NEVER_MERGE)
        return NULL;
    for (unsigned i = 0; i < cache_count; i++)
        if (caches[i].refs > 0 && caches[i].slot == like->slot && !caches[i].link)
            return &caches[i];
    return NULL;
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
    if (fails_now(GFP_KERNEL) || fails_as_asked(GFP_KERNEL))
        return NULL;
    struct kmem_cache *cache = mergeable(&made, flags);
    if (cache) {
        cache->refs++;
        cache->size = cache->size > size ? cache->size : size;
        return cache;
    }
    for (cache = caches + class_count; cache < caches + cache_count && cache->refs > 0;)
        cache++;
    if (cache == caches + MAX_CACHES)
        return NULL;
    if (cache == caches + cache_count)
        cache_count++;
    *cache = made;
    cache->refs = 1;
    list_init(&cache->room);
    return cache;
}

struct kmem_cache *kmem_cache_create(const char *name, unsigned size, unsigned align, unsigned flags,
                                     void (*ctor)(void *))
{
    lock();
    struct kmem_cache made = {.ctor = ctor};
    struct kmem_cache *cache = name ? cache_make(made, size, align, flags) : NULL;
    unlock();
    return cache;
}

/* The form of 2.6; a destructor without constructor was an error there. */
struct kmem_cache *kmem_cache_create_26(const char *name, size_t size, size_t offset, unsigned long flags,
                                        void (*ctor)(void *, struct kmem_cache *, unsigned long),
                                        void (*dtor)(void *, struct kmem_cache *, unsigned long))
{
    lock();
    struct kmem_cache made = {.ctor_26 = ctor, .dtor_26 = dtor};
    struct kmem_cache *cache = name && (ctor || !dtor) ? cache_make(made, size, offset, flags) : NULL;
    unlock();
    return cache;
}

/* Take an object; where constructed memory is due, nothing but __GFP_ZERO writes to it. */
static void *cache_take(struct kmem_cache *cache, gfp_t gfp)
{
    void *p = fails_as_asked(gfp) ? NULL : slot_take(cache, gfp);
    if (p && (!has_ctor(cache) || gfp & GFP_ZERO))
        fill(p, cache->size, gfp);
    return p;
}

void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
    lock();
    void *p = fails_now(gfp) ? NULL : cache_take(cache, gfp);
    unlock();
    return p;
}

void *kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp)
{
    if (FAULT != FAULT_CACHE_ZALLOC_SHORT)
        return kmem_cache_alloc(cache, gfp | GFP_ZERO);
    void *p = kmem_cache_alloc(cache, gfp);
    if (p)
        memset(p, 0, (cache->size - 1) / 8 * 8);
    return p;
}

void kmem_cache_free(struct kmem_cache *cache, void *p)
{
    (void)cache;
    lock();
    object_free(p);
    unlock();
}

void kmem_cache_free_bulk(struct kmem_cache *cache, size_t n, void **p)
{
    for (size_t i = 0; i < n && !(FAULT == FAULT_BULK_FREE_FORGETS && i >= 7 && i + 1 == n); i++)
        kmem_cache_free(cache, p[i]);
}

int kmem_cache_alloc_bulk(struct kmem_cache *cache, gfp_t gfp, size_t n, void **p)
{
    lock();
    size_t got = 0;
    while (got < n && !(got == 0 && fails_now(gfp)) && (p[got] = cache_take(cache, gfp)))
        got++;
    if (got < n && FAULT != FAULT_BULK_PART) {
        if (FAULT != FAULT_BULK_FAIL_LEAKS)
            kmem_cache_free_bulk(cache, got, p);
        got = 0;
    }
    if (FAULT == FAULT_BULK_TWICE && got >= 12)
        p[got - 1] = p[0];
    unlock();
    return (int)got;
}

int kmem_cache_shrink(struct kmem_cache *cache)
{
    lock();
    wake_all();
    slabs_drop(cache, FAULT == FAULT_SHRINK_LIVE ? 1 : 0);
    int left = cache->slabs > 0;
    unlock();
    return left;
}

unsigned kmem_cache_size(struct kmem_cache *cache)
{
    unsigned size = (unsigned)cache->size;
    return FAULT == FAULT_CACHE_SIZE_LESS && size > 256 ? size - 8 : size;
}

/* Drop a cache with its slabs; one that has live objects stays, out of reach. */
void kmem_cache_destroy(struct kmem_cache *cache)
{
    if (!cache)
        return;
    lock();
    wake_all();
    if (cache->refs == 1) {
        if (FAULT == FAULT_DESTROY_LEAKS && cache->slabs > 1) {
            slots_destruct(cache->room.next);
            list_drop(cache->room.next);
            cache->slabs--;
        }
        if (FAULT == FAULT_DTOR_NOT_AT_DESTROY)
            cache->dtor_26 = NULL;
        slabs_drop(cache, 0);
    }
    if (cache->refs > 1 || cache->slabs == 0)
        cache->refs--;
    unlock();
}

#endif
