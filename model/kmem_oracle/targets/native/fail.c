/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The memory that a library has from the system, made to fail the n-th time. Loaded before all else.
 *
 * It counts only while the driver runs calls: what the process needs for itself never fails. Nor does what the
 * dynamic loader asks for, such as a thread's copy of a library's variables: without it the loader ends the process.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned left;
static bool counting;

/* Let the n-th request from now fail; 0 for none. */
void kmem_oracle_memory_fail_nth(unsigned n) { left = n; }

/* Begin to count, or no longer. */
void kmem_oracle_memory_counts(bool counts) { counting = counts; }

static struct { uintptr_t begin, size; } loader;

static int measure(struct dl_phdr_info *object, size_t size, void *unused)
{
    (void)size, (void)unused;
    if (object->dlpi_addr != loader.begin)
        return 0;
    for (int k = 0; k < object->dlpi_phnum; k++)
        if (object->dlpi_phdr[k].p_type == PT_LOAD)
            loader.size = object->dlpi_phdr[k].p_vaddr + object->dlpi_phdr[k].p_memsz;
    return 1;
}

__attribute__((constructor)) static void find_loader(void)
{
    loader.begin = getauxval(AT_BASE);
    dl_iterate_phdr(measure, NULL);
}

#define FAILS() fails((uintptr_t)__builtin_return_address(0))

static bool fails(uintptr_t caller)
{
    if (!counting || !__atomic_load_n(&left, __ATOMIC_RELAXED) || caller - loader.begin < loader.size)
        return false;
    if (__atomic_sub_fetch(&left, 1, __ATOMIC_RELAXED) != 0)
        return false;
    errno = ENOMEM;
    return true;
}

/* What dlsym itself asks for while the real functions are looked up. */
static _Alignas(64) char early[1 << 16];
static size_t early_used;

static void *early_take(size_t size)
{
    void *taken = early + early_used;
    early_used += (size + 63) & ~(size_t)63;
    return early_used <= sizeof early ? taken : NULL;
}

static bool is_early(const void *p) { return (const char *)p >= early && (const char *)p < early + sizeof early; }

#define REAL(result, name, parameters)                                                                       \
    static result(*real) parameters;                                                                         \
    static bool looking;                                                                                     \
    if (!real && !looking) {                                                                                 \
        looking = true;                                                                                      \
        *(void **)&real = dlsym(RTLD_NEXT, #name);                                                           \
        looking = false;                                                                                     \
    }

void *malloc(size_t size)
{
    REAL(void *, malloc, (size_t))
    return FAILS() ? NULL : real ? real(size) : early_take(size);
}

void *calloc(size_t count, size_t size)
{
    REAL(void *, calloc, (size_t, size_t))
    return FAILS() ? NULL : real ? real(count, size) : early_take(count * size); /* that is zero anyway */
}

void free(void *p)
{
    REAL(void, free, (void *))
    if (real && !is_early(p))
        real(p);
}

void *realloc(void *p, size_t size)
{
    REAL(void *, realloc, (void *, size_t))
    if (FAILS())
        return NULL;
    if (!is_early(p))
        return real ? real(p, size) : NULL;
    void *moved = malloc(size);
    if (moved)
        memcpy(moved, p, size);
    return moved;
}

int posix_memalign(void **p, size_t align, size_t size)
{
    REAL(int, posix_memalign, (void **, size_t, size_t))
    return FAILS() || !real ? ENOMEM : real(p, align, size);
}

void *aligned_alloc(size_t align, size_t size)
{
    REAL(void *, aligned_alloc, (size_t, size_t))
    return FAILS() || !real ? NULL : real(align, size);
}

void *memalign(size_t align, size_t size)
{
    REAL(void *, memalign, (size_t, size_t))
    return FAILS() || !real ? NULL : real(align, size);
}

void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset)
{
    return FAILS() ? MAP_FAILED : (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}

void *mmap64(void *at, size_t size, int protection, int flags, int file, off_t offset)
{
    return mmap(at, size, protection, flags, file, offset);
}
