/* SPDX-License-Identifier: Apache-2.0 */
/* The one lock, the CPU that a thread is on, and the gap that a missing lock would leave. */
#ifndef KMEM_WINDOW_H
#define KMEM_WINDOW_H

#include <pthread.h>
#include <sched.h>

#include "kmem_faults.h"

#define CPUS 2u

static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static _Thread_local unsigned turns; /* calls of this thread; it moves to another CPU every 64 */

static unsigned this_cpu(void) { return turns / 64 % CPUS; }

/* Let other threads in, as where no lock is held. */
static void window(void)
{
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < 4; i++)
        sched_yield();
    pthread_mutex_lock(&mutex);
}

#endif
