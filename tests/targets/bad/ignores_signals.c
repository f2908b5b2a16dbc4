/* SPDX-License-Identifier: Apache-2.0 */
/* Ignores every signal that can be, and hangs in the twentieth kmalloc. */
#include <signal.h>
#include <unistd.h>

#include "simple.h"

void *kmalloc(size_t size, unsigned gfp)
{
    static int calls;
    for (int number = 1; calls == 0 && number < 32; number++)
        signal(number, SIG_IGN);
    while (++calls >= 20)
        pause();
    return simple_kmalloc(size, gfp);
}

void kfree(const void *p) { simple_kfree(p); }
