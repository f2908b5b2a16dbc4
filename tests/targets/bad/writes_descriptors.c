/* SPDX-License-Identifier: Apache-2.0 */
/* Writes garbage to every descriptor, in the twentieth kmalloc. */
#include <fcntl.h>
#include <unistd.h>

#include "simple.h"

void *kmalloc(size_t size, unsigned gfp)
{
    static const char garbage[] = "\xff\xff\xff\xff{\"garbage\": [[[\x80\x04\x95";
    static int calls;
    calls++;
    for (int fd = 0; calls == 20 && fd < 64; fd++)
        if (write(fd, garbage, sizeof garbage) < 0)
            continue;
    return simple_kmalloc(size, gfp);
}

void kfree(const void *p) { simple_kfree(p); }
