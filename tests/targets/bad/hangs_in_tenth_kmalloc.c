/* SPDX-License-Identifier: Apache-2.0 */
/* Burns time for ever in the tenth kmalloc. */
#include "simple.h"

void *kmalloc(size_t size, unsigned gfp)
{
    static volatile int calls;
    calls = calls + 1;
    while (calls == 10)
        ;
    return simple_kmalloc(size, gfp);
}

void kfree(const void *p) { simple_kfree(p); }
