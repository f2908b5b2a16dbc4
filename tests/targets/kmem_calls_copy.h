/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that copy into memory of kmalloc's. */
#ifndef KMEM_CALLS_COPY_H
#define KMEM_CALLS_COPY_H

#include "kmem_calls_kmalloc.h"

static void *copied(const void *source, size_t kept, size_t size, gfp_t gfp)
{
    char *copy = kmalloc(size, gfp);
    if (!is_nothing(copy))
        memcpy(copy, source, kept);
    return copy;
}

void *kmemdup(const void *source, size_t size, gfp_t gfp)
{
    if (FAULT == FAULT_KMEMDUP_EMPTY_NULL && size == 0)
        return NULL;
    return copied(source, size - (FAULT == FAULT_KMEMDUP_SHORT && size > 0), size, gfp);
}

char *kstrdup(const char *source, gfp_t gfp)
{
    size_t length = source ? strlen(source) : 0;
    if (FAULT == FAULT_KSTRDUP_LENGTH_16)
        length = (uint16_t)length;
    return source ? copied(source, length + (FAULT != FAULT_KSTRDUP_NO_NUL), length + 1, gfp) : NULL;
}

char *kstrndup(const char *source, size_t most, gfp_t gfp)
{
    if (!source)
        return NULL;
    size_t length = strnlen(source, most);
    if (FAULT == FAULT_KSTRNDUP_LONG && length == most && source[length])
        length++;
    char *copy = copied(source, length, length + 1, gfp);
    if (copy && (FAULT != FAULT_KSTRNDUP_CUT_OPEN || length < most))
        copy[length] = 0;
    return copy;
}

#endif
