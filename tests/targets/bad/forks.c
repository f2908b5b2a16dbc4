/* SPDX-License-Identifier: Apache-2.0 */
/* Forks in the twentieth kmalloc, and both go on with the calls. */
#include <unistd.h>

#include "simple.h"

void *kmalloc(size_t size, unsigned gfp)
{
    static int calls;
    if (++calls == 20 && fork() < 0)
        return NULL;
    return simple_kmalloc(size, gfp);
}

void kfree(const void *p) { simple_kfree(p); }
