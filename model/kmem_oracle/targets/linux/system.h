/* SPDX-License-Identifier: GPL-2.0-only */
/* What the driver has from the kernel that it runs in: time, a lock, which thread this is. */
#ifndef KMEM_ORACLE_SYSTEM_H
#define KMEM_ORACLE_SYSTEM_H

#include "mailbox.h"

#define LEAVES (1u << 14) /* of 2^LEAF_BITS ids each */
#define LOWEST 4096ul
#define ADDRESS_END (~0ul - 4095) /* error pointers lie behind it */

/* No two moments are the same, whatever the clock's grain. */
static inline u64 now(void)
{
    static atomic64_t last;
    s64 before = atomic64_read(&last), time = (s64)ktime_get_ns();
    while (!atomic64_try_cmpxchg(&last, &before, max(time, before + 1)))
        ;
    return (u64)max(time, before + 1);
}

static DEFINE_SPINLOCK(lock);

static inline void take_lock(void) { spin_lock(&lock); }

static inline void give_lock(void) { spin_unlock(&lock); }

static inline void let_others_go_on(void) { cond_resched(); }

/* How often this task has slept: gone from a processor of its own accord. */
static inline u64 sleeps(void) { return current->nvcsw; }

static bool atomic; /* whether the script has disabled preemption */

/* Let the kernel's own tasks run now and then: what reclaims and settles accounts would else never do so.
 *
 * Where no clock ticks, a task that never sleeps is never the one that has run longest: it has to sleep.
 */
static inline void between_calls(u64 index)
{
    if ((index & 31) || atomic)
        return;
#ifdef CONFIG_UML_TIME_TRAVEL_SUPPORT
    if (time_travel_mode == TT_MODE_INFCPU) {
        schedule_timeout_uninterruptible(1);
        return;
    }
#endif
    yield();
}

/* A user-mode kernel's memcmp goes byte by byte. */
static inline bool same_bytes(const unsigned char *one, const unsigned char *two, u64 size)
{
    u64 at;
    for (at = 0; at + 8 <= size; at += 8)
        if (get_unaligned((const u64 *)(one + at)) != get_unaligned((const u64 *)(two + at)))
            return false;
    return memcmp(one + at, two + at, size - at) == 0;
}

/* The driver of this thread: the main one's copy, but for what it has in hand of one call. */
struct driver;
static struct {
    struct task_struct *task;
    struct driver *driver;
} drivers[MOST_THREADS + 1]; /* the main one's first */

static inline struct driver *this_driver(void)
{
    for (unsigned i = 0; i <= MOST_THREADS; i++)
        if (drivers[i].task == current)
            return drivers[i].driver;
    return drivers[0].driver; /* a slab that was freed later, by another task */
}

static inline void become(struct driver *d, unsigned place)
{
    drivers[place].task = current;
    drivers[place].driver = d;
}

#endif
