/* SPDX-License-Identifier: Apache-2.0 */
/* Correct, and reserves a terabyte of addresses, of which it makes as much usable as it needs. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "simple.h"

__attribute__((constructor)) static void reserve(void)
{
    char *all = mmap(NULL, (size_t)1 << 40, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED || mprotect(all, 1 << 20, PROT_READ | PROT_WRITE) != 0)
        _exit(3);
    all[0] = 1;
}

void *kmalloc(size_t size, unsigned gfp) { return simple_kmalloc(size, gfp); }

void kfree(const void *p) { simple_kfree(p); }
