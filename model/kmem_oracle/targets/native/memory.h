/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Bytes of the target: fill, compare, look for zeroes. */
#ifndef KMEM_ORACLE_MEMORY_H
#define KMEM_ORACLE_MEMORY_H

#include "driver.h"

static bool reachable(u64 start, u64 size)
{
    return start >= LOWEST && start <= ADDRESS_END && size <= ADDRESS_END - start;
}

static bool touchable(const struct driver *d, u64 start, u64 size)
{
    return start > ZERO_SIZE && size <= d->largest && reachable(start, size);
}

static const unsigned char *pattern_of(const struct driver *d, u64 id) { return d->pattern + (id * 40503 & 0xffff); }

static void fill(const struct driver *d, u64 start, u64 size, u64 id)
{
    for (u64 at = 0; at < size; at += d->longest) {
        u64 length = size - at < d->longest ? size - at : d->longest;
        memcpy((void *)(start + at), pattern_of(d, id), length);
    }
}

static s64 first_difference(const unsigned char *one, const unsigned char *two, u64 size)
{
    if (same_bytes(one, two, size))
        return -1;
    for (u64 at = 0; at < size; at++)
        if (one[at] != two[at])
            return (s64)at;
    return -1; /* it changed back meanwhile */
}

static s64 changed(const struct driver *d, u64 start, u64 size, u64 id)
{
    for (u64 at = 0; at < size; at += d->longest) {
        u64 length = size - at < d->longest ? size - at : d->longest;
        s64 offset = first_difference((const unsigned char *)start + at, pattern_of(d, id), length);
        if (offset >= 0)
            return (s64)at + offset;
    }
    return -1;
}

static s64 nonzero(u64 start, u64 begin, u64 end)
{
    static const unsigned char zeroes[4096];
    for (u64 at = begin; at < end; at += sizeof zeroes) {
        u64 length = end - at < sizeof zeroes ? end - at : sizeof zeroes;
        s64 offset = first_difference((const unsigned char *)start + at, zeroes, length);
        if (offset >= 0)
            return (s64)at + offset;
    }
    return -1;
}

static unsigned char byte_at(u64 address) { return *(volatile unsigned char *)address; }

static void set_byte(u64 address, unsigned char value) { *(volatile unsigned char *)address = value; }

#endif
