/* SPDX-License-Identifier: Apache-2.0 */
/* Pools: a reserve of elements in front of an allocator of the caller's. */
#ifndef KMEM_CALLS_MEMPOOL_H
#define KMEM_CALLS_MEMPOOL_H

#include <errno.h>

#include "kmem_calls_cache.h"
#include "kmem_calls_kmalloc.h"

#define POLLS 64 /* how often a sleeper asks the allocator again: nobody else can free an element here */

typedef struct mempool {
    int min, count; /* elements in reserve: due, there */
    void **elements;
    void *(*alloc)(gfp_t, void *);
    void (*free)(void *, void *);
    void *data;
} mempool_t;

static void mempool_fill(mempool_t *pool)
{
    while (pool->count < pool->min) {
        void *element = pool->alloc(GFP_KERNEL, pool->data);
        if (!element)
            return;
        pool->elements[pool->count++] = element;
    }
}

static void mempool_drop(mempool_t *pool, int left, bool frees)
{
    while (pool->count > left) {
        void *element = pool->elements[--pool->count];
        if (frees)
            pool->free(element, pool->data);
    }
}

static void **mempool_array(int min)
{
    return kmalloc_array(min > 0 ? (size_t)min : 1, sizeof(void *), GFP_KERNEL);
}

void mempool_destroy(mempool_t *pool)
{
    if (!pool)
        return;
    mempool_drop(pool, 0, FAULT != FAULT_POOL_DESTROY_LEAKS || pool->count < 2);
    kfree(pool->elements);
    kfree(pool);
}

mempool_t *mempool_create(int min, void *(*alloc)(gfp_t, void *), void (*free)(void *, void *), void *data)
{
    mempool_t *pool = min < 0 ? NULL : kmalloc(sizeof *pool, GFP_KERNEL);
    if (!pool)
        return NULL;
    *pool = (mempool_t){.min = min, .alloc = alloc, .free = free, .data = data};
    pool->elements = mempool_array(min);
    if (pool->elements)
        mempool_fill(pool);
    if (pool->elements && pool->count == min)
        return pool;
    mempool_destroy(pool);
    return NULL;
}

static void *slab_alloc(gfp_t gfp, void *cache) { return kmem_cache_alloc(cache, gfp); }

static void slab_free(void *element, void *cache) { kmem_cache_free(cache, element); }

mempool_t *mempool_create_slab_pool(int min, struct kmem_cache *cache)
{
    return mempool_create(min, slab_alloc, slab_free, cache);
}

/* Ask the allocator first, then the reserve; one who may sleep asks again and again. */
void *mempool_alloc(mempool_t *pool, gfp_t gfp)
{
    gfp |= GFP_NOMEMALLOC | GFP_NORETRY | GFP_NOWARN;
    void *element = pool->alloc(gfp & ~(GFP_DIRECT_RECLAIM | GFP_IO), pool->data);
    int left = FAULT == FAULT_POOL_NULL_EARLY && !may_sleep(gfp) ? 1 : 0;
    lock();
    if (!element && pool->count > left) {
        int count = pool->count - 1;
        if (FAULT == FAULT_RACE_POOL)
            window();
        element = pool->elements[count];
        pool->count = count;
    }
    unlock();
    bool waits = may_sleep(gfp) || FAULT == FAULT_POOL_ATOMIC_SLEEPS;
    for (int i = 0; !element && waits && i < POLLS; i++) {
        sleeps();
        element = pool->alloc(gfp, pool->data);
    }
    return element;
}

void mempool_free(void *element, mempool_t *pool)
{
    if (!element)
        return;
    lock();
    int due = pool->min - (FAULT == FAULT_POOL_REFILL_ONE_LESS && pool->min > 1);
    bool is_kept = pool->count < due && FAULT != FAULT_POOL_NOT_REFILLED;
    if (is_kept)
        pool->elements[pool->count++] = element;
    unlock();
    if (!is_kept)
        pool->free(element, pool->data);
}

int mempool_resize(mempool_t *pool, int min)
{
    if (min < 1)
        return -EINVAL;
    if (min > pool->min) {
        void **elements = mempool_array(min);
        if (!elements)
            return -ENOMEM;
        size_t each = FAULT == FAULT_POOL_GROW_COPIES_HALF ? sizeof(int) : sizeof *elements;
        memcpy(elements, pool->elements, (size_t)pool->count * each);
        kfree(pool->elements);
        pool->elements = elements;
    }
    for (int i = 0; FAULT == FAULT_POOL_SHRINK_WRONG_END && pool->count > min; i++, pool->count--)
        pool->free(pool->elements[i], pool->data);
    mempool_drop(pool, min, FAULT != FAULT_POOL_SHRINK_LEAKS);
    pool->min = min;
    mempool_fill(pool);
    return 0;
}

#endif
