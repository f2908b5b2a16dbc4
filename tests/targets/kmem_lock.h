/* SPDX-License-Identifier: Apache-2.0 */
/* One lock for all calls, which a constructor or an element's function may take again. */
#ifndef KMEM_LOCK_H
#define KMEM_LOCK_H

#include "kmem_areas.h"

static bool ready;

/* Make all memory free, whoever has it. */
static void reset(void)
{
    pages_init();
    pcps_init();
    memset(magazines, 0, sizeof magazines);
    caches_init();
    areas_init();
    attempts = frees = fail_in = turns = 0;
    rested = 0;
    memset(resting, 0, sizeof resting);
    ready = true;
}

static void lock(void)
{
    pthread_mutex_lock(&mutex);
    if (!ready)
        reset();
    if (HAS_PCP || HAS_MAGAZINES)
        turns++;
}

static void unlock(void) { pthread_mutex_unlock(&mutex); }

#endif
