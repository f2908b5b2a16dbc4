/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves a process behind that is in a session of its own. */
#include <unistd.h>

#include "simple.h"

void *kmalloc(size_t size, unsigned gfp)
{
    static int calls;
    if (++calls == 20 && fork() == 0) {
        setsid();
        if (fork() == 0)
            execlp("sleep", "sleep", "300.25", NULL);
        _exit(0);
    }
    return simple_kmalloc(size, gfp);
}

void kfree(const void *p) { simple_kfree(p); }
