/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The driver's state: what it has in hand, and where it writes down what it saw.
 *
 * It is the twin of hands.py, and writes the same records: tests hold the two together.
 */
#ifndef KMEM_ORACLE_DRIVER_H
#define KMEM_ORACLE_DRIVER_H

#include "target.h"

#ifdef __KERNEL__
#include "../system.h"
#else
#include "system.h"
#endif

#define TOP_ORDER 10
#define ZERO_SIZE 16ul    /* ZERO_SIZE_PTR */
#define MOST_ITEMS 65536u /* objects of one bulk call */
#define NOTES (1u << 16)  /* notes to a chunk */
#define CHUNK 2048u       /* calls to a chunk */
#define MOST_WORDS 10u    /* of one call */
#define LEAF_BITS 12

enum { DONE, SKIPPED, SPOILT };
enum { CALLING, TOUCHING };
enum { WATCHED = 1, ASLEEP = 2, LOST = 4, ONE_NOTE = 8 };
enum { CONSTRUCTED = 1, DESTRUCTED = 2 };

/* What is shared with the parent: which call is in hand, what is done with it, where its chunk's records go. */
struct header {
    u64 index, doing, base;
};

struct record {
    u64 result;
    s64 usable, nonzero, changed;
    u32 status, ran;
};

struct note {
    u64 kind, cache, address;
};

struct notes {
    u64 count;
    struct note notes[NOTES];
};

/* When a call of a thread began and ended, in ns. */
struct times {
    u64 begin, end;
};

/* What is shared with the parent of one chunk of calls. */
struct part {
    struct record records[CHUNK];
    struct notes notes;
    u64 words[CHUNK * MOST_WORDS];
    struct times times[CHUNK];
    struct header header; /* of a thread */
    u64 guard;            /* the parent's */
};

/* A cache or a pool. `built` is the id whose pattern is the constructed state of its objects, 0 for none.
 * It is never freed: a library may keep a cache or a pool longer than its caller. */
struct home {
    u64 handle, size, built;
    bool cache, gives, failing;
    struct held *objects;
    struct home *next;
    int slots[2]; /* of its constructor and destructor, -1 for none */
    struct driver *driver;
};

/* An object in hand; `high` is the largest size that it was asked to have. */
struct held {
    u64 id, start, size, high, made; /* `made`: when, where there are threads */
    struct home *home;
    struct held *before, *after; /* of the same home, while there is one thread */
    bool live, zeroed;           /* whether it lives is told from thread to thread */
};

struct driver {
    struct target target;
    const unsigned char *pattern; /* `longest` + 64 KiB bytes, none of them 0 */
    u64 longest, largest;
    gfp_t gfp_zero;
    unsigned char *memory; /* shared with the parent */
    struct header *header;
    bool threads; /* others use the same objects */
    struct times *times; /* of the call in hand, where there are threads */
    void (*counts)(bool); /* whether the target's requests to the system count, to fail the n-th; or NULL */
    void *(*more)(size_t); /* zeroed memory of the driver's own, for ever */
    struct held **held;    /* by id, in leaves */
    struct home **homes;
    u64 resized; /* the size of what a call resizes */
    u32 quiet, ran;
    struct record *record; /* of the call in hand */
    struct notes *notes;
    struct {
        enum call call;
        bool made, zeroed;
        struct home *home;
        u64 count;
    } batch;
    void *items[MOST_ITEMS + 1];
    struct home nothing; /* what NULL is as a cache */
    char name[40];       /* of the cache in hand */
};

static inline void barrier_for_the_parent(void) { __asm__ volatile("" ::: "memory"); }

static inline void doing(struct driver *d, u64 what)
{
    barrier_for_the_parent();
    ((volatile struct header *)d->header)->doing = what;
    barrier_for_the_parent();
}

#endif
