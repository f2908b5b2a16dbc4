/* SPDX-License-Identifier: Apache-2.0 */
/* The calls on caches. */
#ifndef KMEM_CALLS_CACHE_H
#define KMEM_CALLS_CACHE_H

#include <limits.h>

#include "kmem_table.h"

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
    void *p = fails_as_asked(gfp) ? NULL : slot_get(cache, gfp);
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
    if (FAULT == FAULT_MAG_BULK_DIRTY && magazine_of(cache)->count >= n)
        gfp &= ~GFP_ZERO;
    while (got < n && !(got == 0 && fails_now(gfp)) && (p[got] = cache_take(cache, gfp)))
        got++;
    if (got < n && FAULT != FAULT_BULK_PART) {
        if (FAULT != FAULT_BULK_FAIL_LEAKS)
            kmem_cache_free_bulk(cache, got, p);
        if (FAULT == FAULT_BULK_UNDO_TWICE && got >= 3 && page_of(p[0])->state == SLAB)
            slot_link(page_of(p[0])->slab, p[0]);
        got = 0;
    }
    for (size_t i = 0; FAULT == FAULT_CTOR_BULK_CLEARED && has_ctor(cache) && got >= 4 && i < got; i++)
        memset(p[i], 0, cache->size);
    if (FAULT == FAULT_BULK_TWICE && got >= 12)
        p[got - 1] = p[0];
    unlock();
    return (int)got;
}

int kmem_cache_shrink(struct kmem_cache *cache)
{
    lock();
    wake_all();
    void (*dtor)(void *, struct kmem_cache *, unsigned long) = cache->dtor_26;
    if (FAULT == FAULT_SHRINK_NO_DTOR)
        cache->dtor_26 = NULL;
    slabs_drop(cache, FAULT == FAULT_SHRINK_LIVE ? 1 : 0);
    cache->dtor_26 = dtor;
    struct page *last = cache->room.prev;
    if (FAULT == FAULT_SHRINK_LOSES_PARTIAL && last != cache->room.next) {
        list_drop(last);
        list_init(last);
    }
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
    if (FAULT != FAULT_DESTROY_LEAVES_DEFERRED && FAULT != FAULT_MAG_DESTROY_STALE)
        wake_all();
    if (FAULT == FAULT_ALIAS_DESTROYS_TWIN && cache->refs == 2)
        slabs_drop(cache, UINT_MAX);
    if (cache->refs == 1) {
        if (FAULT == FAULT_DESTROY_LEAKS && cache->slabs > 1) {
            slots_destruct(cache->room.next);
            list_drop(cache->room.next);
            cache->slabs--;
        }
        if (FAULT == FAULT_DTOR_NOT_AT_DESTROY)
            cache->dtor_26 = NULL;
        slabs_drop(cache, FAULT == FAULT_MAG_DESTROY_STALE ? UINT_MAX : 0);
    }
    if (cache->refs > 1 || cache->slabs == 0)
        cache->refs--;
    unlock();
}

#endif
