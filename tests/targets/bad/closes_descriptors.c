/* SPDX-License-Identifier: Apache-2.0 */
/* Closes every descriptor, in the twentieth kmalloc. */
#include <unistd.h>

#include "simple.h"

void *kmalloc(size_t size, unsigned gfp)
{
    static int calls;
    calls++;
    for (int fd = 0; calls == 20 && fd < 1024; fd++)
        close(fd);
    return simple_kmalloc(size, gfp);
}

void kfree(const void *p) { simple_kfree(p); }
