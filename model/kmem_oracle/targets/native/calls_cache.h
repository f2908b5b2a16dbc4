/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Calls on caches, pools and their objects, and bulk calls. */
#ifndef KMEM_ORACLE_CALLS_CACHE_H
#define KMEM_ORACLE_CALLS_CACHE_H

#include "calls.h"
#include "constructors.h"

static struct kmem_cache *cache_of(const struct home *home) { return (struct kmem_cache *)home->handle; }

static mempool_t *pool_of(const struct home *home) { return (mempool_t *)home->handle; }

/* A name for a cache with an id; it lasts until the next. */
static const char *cache_name(struct driver *d, u64 id)
{
    char digits[20], *to = d->name + 12;
    int count = 0;
    memcpy(d->name, "kmem-oracle-", 12);
    do
        digits[count++] = (char)('0' + id % 10);
    while (id /= 10);
    while (count)
        *to++ = digits[--count];
    *to = '\0';
    return d->name;
}

/* A cache whose constructor fills the object with the pattern of the cache's id. */
static void create(struct driver *d, enum call call, u64 out, const u64 *a)
{
    bool old = call == CALL_kmem_cache_create_26, has_ctor = a[4], has_dtor = old && a[5];
    const char *name = a[0] ? cache_name(d, out) : NULL;
    struct home *home = new_home(d, a[1]);
    unsigned table = old ? CTOR_26 : CTOR;
    int ctor = has_ctor ? take_slot(table, home, out) : -1, dtor = has_dtor ? take_slot(DTOR_26, home, out) : -1;
    bool made = false;
    home->cache = true;
    home->built = has_ctor ? out : 0;
    home->slots[0] = ctor;
    home->slots[1] = dtor;
    if ((has_ctor && ctor < 0) || (has_dtor && dtor < 0))
        skip(d); /* more caches with functions live than the driver has functions */
    else if (old)
        made = hold_home(d, out, home,
                         d->target.kmem_cache_create_26(name, a[1], a[2], a[3], has_ctor ? ctors_26[ctor] : NULL,
                                                        has_dtor ? dtors_26[dtor] : NULL));
    else
        made = hold_home(d, out, home,
                         d->target.kmem_cache_create(name, (unsigned)a[1], (unsigned)a[2], (unsigned)a[3],
                                                     has_ctor ? ctors[ctor] : NULL));
    if (!made) {
        give_slot(table, ctor);
        give_slot(DTOR_26, dtor);
    }
}

/* Destroy a cache or pool; objects that are left are forgotten. */
static void destroy(struct driver *d, enum call call, u64 id)
{
    struct home *home = home_at(d, id);
    if (!home)
        return skip(d);
    if (home != &d->nothing)
        *home_place(d, id) = NULL;
    while (home->objects)
        forget(home->objects);
    if (call == CALL_mempool_destroy)
        return d->target.mempool_destroy(pool_of(home));
    d->target.kmem_cache_destroy(cache_of(home));
    if (home != &d->nothing) {
        for (unsigned table = CTOR; table <= CTOR_26; table++)
            if (home->slots[0] >= 0 && slots[table][home->slots[0]].home == home)
                give_slot(table, home->slots[0]);
        give_slot(DTOR_26, home->slots[1]);
    }
}

static void of_home(struct driver *d, enum call call, const u64 *a)
{
    struct home *home = home_at(d, a[0]);
    const struct target *t = &d->target;
    if (!home)
        return skip(d);
    if (call == CALL_kmem_cache_shrink)
        d->record->result = (u64)(s64)t->kmem_cache_shrink(cache_of(home));
    else if (call == CALL_kmem_cache_size)
        d->record->result = t->kmem_cache_size(cache_of(home));
    else
        d->record->result = (u64)(s64)t->mempool_resize(pool_of(home), (int)a[1]);
}

static void take_of(struct driver *d, enum call call, u64 out, const u64 *a)
{
    struct home *home = home_at(d, a[0]);
    const struct target *t = &d->target;
    gfp_t gfp = (gfp_t)a[1];
    bool zeroed = gfp & d->gfp_zero || call == CALL_kmem_cache_zalloc;
    if (!home)
        return skip(d);
    if (call == CALL_mempool_alloc)
        return take_from(d, home, out, t->mempool_alloc(pool_of(home), gfp), zeroed);
    if (call == CALL_kmem_cache_alloc)
        return take_from(d, home, out, t->kmem_cache_alloc(cache_of(home), gfp), zeroed);
    take_from(d, home, out, t->kmem_cache_zalloc(cache_of(home), gfp), zeroed);
}

/* Give an object back by a call that takes its cache or pool as well. */
static void free_to(struct driver *d, enum call call, u64 id, u64 home_id)
{
    const struct held *held = (s64)id > 0 ? awaited(d, id) : object_at(d, id);
    struct home *home = home_at(d, home_id);
    if (!held || !home)
        return skip(d);
    if (spoilt(d, id, held))
        return;
    void *object = (void *)held->start;
    if ((s64)id > 0) {
        let_go(d, held_at(d, id));
        doing(d, CALLING);
    }
    if (call == CALL_kmem_cache_free)
        d->target.kmem_cache_free(cache_of(home), object);
    else
        d->target.mempool_free(object, pool_of(home));
}

/* A bulk call; each object is looked at by the `item` that follows. */
static void bulk(struct driver *d, enum call call, const u64 *a)
{
    bool pages = call == CALL_alloc_pages_bulk;
    struct home *home = pages ? NULL : home_at(d, a[0]);
    u64 count = a[pages ? 1 : 2], got;
    gfp_t gfp = (gfp_t)a[pages ? 0 : 1];
    d->batch.made = false;
    if ((!pages && !home) || count > MOST_ITEMS)
        return skip(d);
    memset(d->items, 0, count * sizeof *d->items);
    if (pages)
        got = d->target.alloc_pages_bulk(gfp, count, (struct page **)d->items);
    else
        got = (u64)(s64)d->target.kmem_cache_alloc_bulk(cache_of(home), gfp, count, d->items);
    if (got > count) { /* it cannot have filled so many: one more, which is NULL */
        d->items[count] = NULL;
        got = count + 1;
    }
    for (u64 i = 0; pages && i < got; i++)
        d->items[i] = (void *)address_of(d, d->items[i]);
    d->batch.call = call;
    d->batch.made = true;
    d->batch.zeroed = gfp & d->gfp_zero;
    d->batch.home = home;
    d->batch.count = got;
    d->record->result = got;
}

/* Look at one object of the last bulk call. */
static void item(struct driver *d, u64 out, u64 number)
{
    if (!d->batch.made)
        return skip(d);
    const void *start = number < d->batch.count ? d->items[number] : NULL;
    if (d->batch.call == CALL_alloc_pages_bulk)
        take(d, out, start, PAGE_SIZE, d->batch.zeroed, false);
    else
        take_from(d, d->batch.home, out, start, d->batch.zeroed);
}

static void *give(gfp_t gfp, void *of)
{
    const struct home *home = of;
    return home->failing ? NULL : home->driver->target.kmalloc(home->size, gfp);
}

static void take_back(void *element, void *of) { ((const struct home *)of)->driver->target.kfree(element); }

static void create_pool(struct driver *d, u64 out, const u64 *a)
{
    struct home *home = new_home(d, a[3]);
    home->gives = true;
    hold_home(d, out, home, d->target.mempool_create((int)a[0], give, take_back, home));
}

static void create_slab_pool(struct driver *d, u64 out, const u64 *a)
{
    struct home *slab = home_at(d, a[1]);
    if (!slab)
        return skip(d);
    struct home *home = new_home(d, slab->size);
    home->built = slab->built;
    hold_home(d, out, home, d->target.mempool_create_slab_pool((int)a[0], cache_of(slab)));
}

static void fail_pool(struct driver *d, const u64 *a)
{
    struct home *home = (s64)a[0] > 0 ? home_at(d, a[0]) : NULL;
    if (!home || !home->gives)
        return skip(d);
    home->failing = a[1] != 0;
}

#endif
