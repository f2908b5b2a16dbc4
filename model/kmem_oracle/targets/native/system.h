/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What the driver of libraries has from the system: time, a lock, which thread this is. */
#ifndef KMEM_ORACLE_SYSTEM_H
#define KMEM_ORACLE_SYSTEM_H

#include <sched.h>
#include <string.h>
#include <time.h>

#define PAGE_SIZE 4096ul
#define LEAVES (1u << 20) /* of 2^LEAF_BITS ids each */
#define LOWEST 4096ul
#define ADDRESS_END (1ul << 47) /* the user half */

static u64 now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (u64)time.tv_sec * 1000000000u + (u64)time.tv_nsec;
}

static char lock;

static inline void take_lock(void)
{
    while (__atomic_test_and_set(&lock, __ATOMIC_ACQUIRE))
        ;
}

static inline void give_lock(void) { __atomic_clear(&lock, __ATOMIC_RELEASE); }

static inline void let_others_go_on(void) { sched_yield(); }

static inline u64 sleeps(void) { return 0; } /* a library tells of it by its hook */

static inline void between_calls(u64 index) { (void)index; }

static inline bool same_bytes(const unsigned char *one, const unsigned char *two, u64 size)
{
    return memcmp(one, two, size) == 0;
}

/* The driver of this thread: the main one's copy, but for what it has in hand of one call. */
struct driver;
static _Thread_local struct driver *mine;

static inline struct driver *this_driver(void) { return mine; }

static inline void become(struct driver *d) { mine = d; }

#endif
