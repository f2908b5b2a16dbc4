/* SPDX-License-Identifier: Apache-2.0 */
/* Take memory without end: 16 MiB at a time, touched, up to a bound that spares an unguarded machine. */
#include <stdlib.h>
#include <string.h>

static void eat(void)
{
    for (int i = 0; i < 256; i++) {
        char *taken = malloc(16ul << 20);
        if (!taken)
            abort();
        memset(taken, i | 1, 16ul << 20);
        __asm__ volatile("" : : "r"(taken) : "memory");
    }
}
