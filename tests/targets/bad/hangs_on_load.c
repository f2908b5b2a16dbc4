/* SPDX-License-Identifier: Apache-2.0 */
/* Hangs in a constructor. */
#include <unistd.h>

#include "simple.h"

__attribute__((constructor)) static void hang(void)
{
    for (;;)
        pause();
}

void *kmalloc(size_t size, unsigned gfp) { return simple_kmalloc(size, gfp); }

void kfree(const void *p) { simple_kfree(p); }
