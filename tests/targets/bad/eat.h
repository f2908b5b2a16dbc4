/* SPDX-License-Identifier: Apache-2.0 */
/* Take memory without end: 64 MiB at a time, of which one page is touched to spare an unguarded machine. */
#include <stdlib.h>

static void eat(void)
{
    for (int i = 0; i < 1 << 14; i++) {
        volatile char *taken = malloc(64ul << 20);
        if (!taken)
            abort();
        taken[4096] = 1;
    }
}
