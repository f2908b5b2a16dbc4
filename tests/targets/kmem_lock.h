/* SPDX-License-Identifier: Apache-2.0 */
/* One lock for all calls, which a constructor or an element's function may take again. */
#ifndef KMEM_LOCK_H
#define KMEM_LOCK_H

#include <pthread.h>

#include "kmem_areas.h"

static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static bool ready;

/* Make all memory free, whoever has it. */
static void reset(void)
{
    pages_init();
    caches_init();
    areas_init();
    attempts = frees = fail_in = 0;
    rested = 0;
    memset(resting, 0, sizeof resting);
    ready = true;
}

static void lock(void)
{
    pthread_mutex_lock(&mutex);
    if (!ready)
        reset();
}

static void unlock(void) { pthread_mutex_unlock(&mutex); }

#endif
