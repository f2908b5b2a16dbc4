/* SPDX-License-Identifier: Apache-2.0 */
/* Writes 0xff over all that is mapped shared, in the twentieth kmalloc: what the oracle shares with its process. */
#include <stdio.h>

#include "simple.h"

static void scribble(void)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long begin, end;
        char mode[8];
        if (sscanf(line, "%lx-%lx %7s", &begin, &end, mode) == 3 && mode[1] == 'w' && mode[3] == 's')
            memset((void *)begin, 0xff, end - begin);
    }
    if (maps)
        fclose(maps);
}

void *kmalloc(size_t size, unsigned gfp)
{
    static int calls;
    if (++calls == 20)
        scribble();
    return simple_kmalloc(size, gfp);
}

void kfree(const void *p) { simple_kfree(p); }
