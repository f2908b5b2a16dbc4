/* SPDX-License-Identifier: Apache-2.0 */
/* Correct, and writes what it likes to both streams, buffered and not. */
#include <stdio.h>
#include <unistd.h>

#include "simple.h"

void *kmalloc(size_t size, unsigned gfp)
{
    static const char garbage[] = "\xff\xfe{\"event\": null}\n\0\x1b[2J]]\n";
    printf("kmalloc(%zu)\n", size);
    if (write(1, garbage, sizeof garbage) < 0 || write(2, garbage, sizeof garbage) < 0)
        return simple_kmalloc(size, gfp);
    return simple_kmalloc(size, gfp);
}

void kfree(const void *p)
{
    fprintf(stderr, "kfree(%p)", p);
    simple_kfree(p);
}
