/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What the driver has in hand, by id; how it looks at a new object, and lets one go. */
#ifndef KMEM_ORACLE_HANDS_H
#define KMEM_ORACLE_HANDS_H

#include "memory.h"

#define HIGHEST (1l << 36)
#define MOST_AREA (1ul << 45)  /* bytes that an area may have at all */
#define MOST_KV 0x7ffffffful   /* bytes that kvmalloc serves at most */
#define PATIENCE 20 /* times that a thread lets others go on, for an object that one of them makes */

static const struct held null_held = {.live = true};
static const struct held zero_size_held = {.start = ZERO_SIZE, .live = true};

/* Return the place of an object's id, which may be empty; NULL where an id is no id. */
static struct held *place_of(struct driver *d, u64 id)
{
    if (id >> LEAF_BITS >= LEAVES)
        return NULL;
    struct held **leaf = &d->held[id >> LEAF_BITS];
    if (!*leaf)
        *leaf = d->more(sizeof(struct held) << LEAF_BITS);
    return &(*leaf)[id & ((1u << LEAF_BITS) - 1)];
}

/* Return an object that lives, NULL where none does. */
static struct held *held_at(struct driver *d, u64 id)
{
    if ((s64)id <= 0 || id >> LEAF_BITS >= LEAVES || !d->held[id >> LEAF_BITS])
        return NULL;
    struct held *held = place_of(d, id);
    return __atomic_load_n(&held->live, __ATOMIC_ACQUIRE) ? held : NULL;
}

/* Return an object that lives, or will soon: another thread makes it. */
static struct held *awaited(struct driver *d, u64 id)
{
    struct held *held = held_at(d, id);
    for (int turn = 0; !held && d->threads && turn < PATIENCE; turn++) {
        let_others_go_on();
        held = held_at(d, id);
    }
    if (held && d->threads) { /* another thread may have made it since this call began */
        d->times->begin = now();
        if (d->times->begin <= held->made)
            d->times->begin = held->made + 1;
    }
    return held;
}

/* Return an object that lives, also NULL and ZERO_SIZE_PTR, which are none. */
static const struct held *object_at(struct driver *d, u64 id)
{
    if ((s64)id <= 0)
        return id == 0 ? &null_held : &zero_size_held;
    return held_at(d, id);
}

static void forget(struct held *held)
{
    if (held->home && (held->before || held->home->objects == held)) {
        *(held->before ? &held->before->after : &held->home->objects) = held->after;
        if (held->after)
            held->after->before = held->before;
    }
    held->home = NULL;
    held->before = held->after = NULL;
    __atomic_store_n(&held->live, false, __ATOMIC_RELEASE);
}

static void hold(struct driver *d, u64 id, u64 start, u64 size, u64 high, bool zeroed, struct home *home)
{
    struct held *held = place_of(d, id);
    if (!held)
        return;
    if (held->live)
        forget(held);
    *held = (struct held){id, start, size, high, 0, home, NULL, NULL, false, zeroed};
    if (d->threads)
        held->made = d->times->end = now();
    if (home && !d->threads) {
        held->after = home->objects;
        if (home->objects)
            home->objects->before = held;
        home->objects = held;
    }
    __atomic_store_n(&held->live, true, __ATOMIC_RELEASE);
}

/* Bring an object back into its constructed state, if it has one, and hold it no longer. */
static void let_go(struct driver *d, struct held *held)
{
    struct home *home = held->home;
    u64 start = held->start, size = held->size;
    forget(held);
    if (home && home->built && size)
        fill(d, start, size, home->built);
}

static void skip(struct driver *d) { d->record->status = SKIPPED; }

/* Say whether an object is not as it was left, and record that instead of the call. */
static bool spoilt(struct driver *d, u64 id, const struct held *held)
{
    if ((s64)id <= 0)
        return false;
    doing(d, TOUCHING);
    s64 offset = changed(d, held->start, held->size, id);
    if (offset >= 0)
        *d->record = (struct record){id, -1, -1, offset, SPOILT, 0};
    return offset >= 0;
}

/* Return a usable size as a record holds it: beyond HIGHEST it is as absurd, and takes the judge long. */
static s64 at_most(u64 size) { return size > HIGHEST ? HIGHEST : (s64)size; }

/* Look at a new object of no cache, fill it and hold it. */
static void take(struct driver *d, u64 out, const void *result, u64 size, bool zeroed, bool measured)
{
    u64 start = (u64)result;
    struct record *r = d->record;
    r->result = start;
    if (start == 0)
        return;
    if (!(start != ZERO_SIZE && size <= d->largest && reachable(start, size))) {
        hold(d, out, start, 0, 0, false, NULL);
        return;
    }
    if (measured && d->target.ksize)
        r->usable = at_most(d->target.ksize(result));
    doing(d, TOUCHING);
    if (zeroed)
        r->nonzero = nonzero(start, 0, size);
    fill(d, start, size, out);
    hold(d, out, start, size, size, zeroed, NULL);
}

/* Do the same; what is too large to be touched as a whole, up to `most` bytes, is touched at both ends. */
static void take_large(struct driver *d, u64 out, const void *result, u64 size, bool zeroed, u64 most)
{
    u64 start = (u64)result;
    take(d, out, result, size, zeroed, false);
    if (start <= ZERO_SIZE || size <= d->largest || size > most || !reachable(start, PAGE_SIZE))
        return;
    doing(d, TOUCHING);
    for (u64 begin = 0; begin < size; begin += size - PAGE_SIZE) {
        if (zeroed && d->record->nonzero < 0)
            d->record->nonzero = nonzero(start, begin, begin + PAGE_SIZE);
        fill(d, start + begin, PAGE_SIZE, out);
    }
}

/* Look at a new object of a cache or pool, fill it and hold it. */
static void take_from(struct driver *d, struct home *home, u64 out, const void *result, bool zeroed)
{
    u64 start = (u64)result;
    struct record *r = d->record;
    struct home *of = home == &d->nothing ? NULL : home;
    r->result = start;
    if (start == 0)
        return;
    if (!touchable(d, start, home->size)) {
        hold(d, out, start, 0, 0, false, of);
        return;
    }
    if (home->cache && d->target.kmem_cache_size)
        r->usable = d->target.kmem_cache_size((struct kmem_cache *)home->handle);
    doing(d, TOUCHING);
    if (zeroed)
        r->nonzero = nonzero(start, 0, home->size);
    else if (home->cache && home->built)
        r->changed = changed(d, start, home->size, home->built);
    fill(d, start, home->size, out);
    hold(d, out, start, home->size, home->size, zeroed, of);
}

/* Return how many of these consecutive ids live, in `items` their addresses; -1 if one does not. */
static s64 vector(struct driver *d, u64 first, u64 count)
{
    for (u64 i = 0; i < count; i++) {
        const struct held *held = held_at(d, first + i);
        if (!held || i >= MOST_ITEMS)
            return -1;
        d->items[i] = (void *)held->start;
    }
    return (s64)count;
}

static struct home **home_place(struct driver *d, u64 id)
{
    if (id >> LEAF_BITS >= LEAVES)
        return NULL;
    struct home **leaf = ((struct home ***)d->homes)[id >> LEAF_BITS];
    if (!leaf) {
        leaf = d->more(sizeof *leaf << LEAF_BITS);
        ((struct home ***)d->homes)[id >> LEAF_BITS] = leaf;
    }
    return &leaf[id & ((1u << LEAF_BITS) - 1)];
}

/* Return a cache or pool, also NULL, which is none; NULL where none lives. */
static struct home *home_at(struct driver *d, u64 id)
{
    if ((s64)id <= 0) {
        d->nothing = (struct home){.handle = id == 0 ? 0 : ZERO_SIZE, .driver = d};
        return &d->nothing;
    }
    struct home **place = home_place(d, id);
    return place ? *place : NULL;
}

static struct home *new_home(struct driver *d, u64 size)
{
    struct home *home = d->more(sizeof *home);
    *home = (struct home){.size = size, .slots = {-1, -1}, .driver = d};
    return home;
}

/* Record what a call gave for a new cache or pool, and hold it if it gave one. */
static bool hold_home(struct driver *d, u64 out, struct home *home, const void *handle)
{
    struct home **place = home_place(d, out);
    d->record->result = home->handle = (u64)handle;
    if (handle && place)
        *place = home;
    return handle != NULL;
}

#endif
