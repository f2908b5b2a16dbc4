/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Constructors and destructors: C functions without a context, one for each cache that has them.
 *
 * A slot is given to another cache only after all others were: a library may construct late.
 */
#ifndef KMEM_ORACLE_CONSTRUCTORS_H
#define KMEM_ORACLE_CONSTRUCTORS_H

#include "hands.h"

#define SLOTS 1024
enum { CTOR, CTOR_26, DTOR_26 };

static struct slot {
    struct home *home;
    u64 cache;
    bool taken;
} slots[3][SLOTS];
static unsigned next_slot[3];

/* Write a pattern over an object, and note that a function of its cache did so. */
static void imprint(unsigned table, unsigned number, void *object)
{
    const struct slot *slot = &slots[table][number];
    struct driver *d = this_driver() ? this_driver() : slot->home->driver;
    struct notes *notes = d->notes;
    u64 was = ((volatile struct header *)d->header)->doing;
    if (notes->count == NOTES) {
        d->ran = (d->ran & (LOST - 1)) | LOST;
    } else {
        u64 kind = table == DTOR_26 ? DESTRUCTED : CONSTRUCTED;
        notes->notes[notes->count++] = (struct note){kind, slot->cache, (u64)object};
        d->ran += ONE_NOTE;
    }
    if (!touchable(d, (u64)object, slot->home->size))
        return;
    doing(d, TOUCHING);
    fill(d, (u64)object, slot->home->size, table == DTOR_26 ? -slot->cache : slot->cache);
    doing(d, was);
}

/* Functions are numbered in octal: 00000 to 01777. */
#define X8(X, n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7)
#define X64(X, n) X8(X, n##0) X8(X, n##1) X8(X, n##2) X8(X, n##3) X8(X, n##4) X8(X, n##5) X8(X, n##6) X8(X, n##7)
#define X512(X, n)                                                                                           \
    X64(X, n##0) X64(X, n##1) X64(X, n##2) X64(X, n##3) X64(X, n##4) X64(X, n##5) X64(X, n##6) X64(X, n##7)
#define EVERY(X) X512(X, 00) X512(X, 01)

#define FUNCTIONS(n)                                                                                         \
    static void ctor_##n(void *object) { imprint(CTOR, n, object); }                                         \
    static void ctor_26_##n(void *object, struct kmem_cache *cache, unsigned long flags)                     \
    {                                                                                                        \
        (void)cache, (void)flags;                                                                            \
        imprint(CTOR_26, n, object);                                                                         \
    }                                                                                                        \
    static void dtor_26_##n(void *object, struct kmem_cache *cache, unsigned long flags)                     \
    {                                                                                                        \
        (void)cache, (void)flags;                                                                            \
        imprint(DTOR_26, n, object);                                                                         \
    }
EVERY(FUNCTIONS)

#define NAMED(n) ctor_##n,
static ctor_t *const ctors[SLOTS] = {EVERY(NAMED)};
#undef NAMED
#define NAMED(n) ctor_26_##n,
static ctor_26_t *const ctors_26[SLOTS] = {EVERY(NAMED)};
#undef NAMED
#define NAMED(n) dtor_26_##n,
static ctor_26_t *const dtors_26[SLOTS] = {EVERY(NAMED)};
#undef NAMED

/* Return a slot of a table for a cache, -1 if all are taken. */
static int take_slot(unsigned table, struct home *home, u64 cache)
{
    int taken = -1;
    take_lock();
    for (unsigned tried = 0; tried < SLOTS && taken < 0; tried++) {
        unsigned number = next_slot[table]++ % SLOTS;
        struct slot *slot = &slots[table][number];
        if (!slot->taken) {
            *slot = (struct slot){home, cache, true};
            taken = (int)number;
        }
    }
    give_lock();
    return taken;
}

static void give_slot(unsigned table, int number)
{
    if (number >= 0)
        slots[table][number].taken = false;
}

#endif
