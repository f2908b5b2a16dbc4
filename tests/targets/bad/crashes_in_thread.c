/* SPDX-License-Identifier: Apache-2.0 */
/* Starts a thread that crashes a little later. */
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>

#include "simple.h"

static void *crash(void *unused)
{
    (void)unused;
    usleep(1000);
    *(volatile int *)8 = 0;
    return NULL;
}

void *kmalloc(size_t size, unsigned gfp)
{
    static int calls;
    pthread_t thread;
    if (++calls == 20 && pthread_create(&thread, NULL, crash, NULL) != 0)
        return NULL;
    return simple_kmalloc(size, gfp);
}

void kfree(const void *p) { simple_kfree(p); }
