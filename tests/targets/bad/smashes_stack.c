/* SPDX-License-Identifier: Apache-2.0 */
/* Smashes its stack in the twentieth kmalloc. */
#include "simple.h"

__attribute__((noinline)) static void smash(char *at) { memset(at, 0x41, 1 << 16); }

void *kmalloc(size_t size, unsigned gfp)
{
    static int calls;
    char here[8];
    if (++calls == 20)
        smash(here);
    return simple_kmalloc(size, gfp);
}

void kfree(const void *p) { simple_kfree(p); }
