/* SPDX-License-Identifier: Apache-2.0 */
/* A target as a process, in C: it reads requests, calls the kernel's functions, writes answers.
 *
 * Link it to an allocator: what that lacks is not named in the hello line. spec/script.md has the format. The
 * addresses are this process's own and the hello line has its pid: so the oracle reaches the memory by itself,
 * and no request is about bytes.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned int gfp_t;
typedef struct mempool mempool_t;
struct kmem_cache;
struct page;
void *kmalloc(size_t, gfp_t), *kzalloc(size_t, gfp_t), *kmalloc_array(size_t, size_t, gfp_t);
void *kcalloc(size_t, size_t, gfp_t), *krealloc(const void *, size_t, gfp_t);
void *krealloc_array(void *, size_t, size_t, gfp_t), *kmemdup(const void *, size_t, gfp_t);
char *kstrdup(const char *, gfp_t), *kstrndup(const char *, size_t, gfp_t);
void kfree(const void *), kfree_sensitive(const void *), kfree_bulk(size_t, void **);
size_t ksize(const void *), kmalloc_size_roundup(size_t);
void *kvmalloc(size_t, gfp_t), *kvzalloc(size_t, gfp_t), *kvmalloc_array(size_t, size_t, gfp_t);
void *kvcalloc(size_t, size_t, gfp_t), *kvrealloc(const void *, size_t, gfp_t);
void kvfree(const void *);
struct kmem_cache *kmem_cache_create(const char *, unsigned, unsigned, unsigned, void (*)(void *));
typedef void hook_26(void *, struct kmem_cache *, unsigned long);
struct kmem_cache *kmem_cache_create_26(const char *, size_t, size_t, unsigned long, hook_26 *, hook_26 *);
void *kmem_cache_alloc(struct kmem_cache *, gfp_t), *kmem_cache_zalloc(struct kmem_cache *, gfp_t);
int kmem_cache_alloc_bulk(struct kmem_cache *, gfp_t, size_t, void **), kmem_cache_shrink(struct kmem_cache *);
void kmem_cache_free(struct kmem_cache *, void *), kmem_cache_free_bulk(struct kmem_cache *, size_t, void **);
void kmem_cache_destroy(struct kmem_cache *);
unsigned kmem_cache_size(struct kmem_cache *);
unsigned long __get_free_pages(gfp_t, unsigned), get_zeroed_page(gfp_t);
unsigned long alloc_pages_bulk(gfp_t, unsigned long, struct page **);
void free_pages(unsigned long, unsigned), __free_pages(struct page *, unsigned);
struct page *alloc_pages(gfp_t, unsigned), *virt_to_page(const void *), *vmalloc_to_page(const void *);
void split_page(struct page *, unsigned), free_pages_exact(void *, size_t);
void *page_address(const struct page *), *alloc_pages_exact(size_t, gfp_t);
int get_order(unsigned long);
void *vmalloc(unsigned long), *vzalloc(unsigned long), *vmalloc_user(unsigned long), *vmalloc_32(unsigned long);
void *vmalloc_array(size_t, size_t), *vcalloc(size_t, size_t), *__vmalloc(unsigned long, gfp_t);
void *vrealloc(const void *, size_t, gfp_t), *vmap(struct page **, unsigned, unsigned long, unsigned long);
void vfree(const void *), vunmap(const void *);
bool is_vmalloc_addr(const void *);
mempool_t *mempool_create(int, void *(*)(gfp_t, void *), void (*)(void *, void *), void *);
mempool_t *mempool_create_slab_pool(int, struct kmem_cache *);
void *mempool_alloc(mempool_t *, gfp_t);
void mempool_free(void *, mempool_t *), mempool_destroy(mempool_t *);
int mempool_resize(mempool_t *, int);
void kmem_oracle_on_sleep(void (*)(void)), kmem_oracle_fail_nth(unsigned);

#define MOST (1 << 16)
static uint64_t a[8];      /* the arguments of the request in hand that are numbers */
static uint64_t list[MOST]; /* those that are in a list, and those to be answered */
static const char *name;   /* of a cache, or NULL */
static bool slept;

static void on_sleep(void) { slept = true; }

static void end_answer(void)
{
    fputs(slept ? ",\"slept\":true}\n" : "}\n", stdout);
    slept = false;
}

static void address(uint64_t result)
{
    printf("{\"result\":\"0x%" PRIx64 "\"", result);
    end_answer();
}

static void number(int64_t result)
{
    printf("{\"result\":%" PRId64, result);
    end_answer();
}

static void many(int64_t count)
{
    fputs("{\"result\":[", stdout);
    for (int64_t k = 0; k < count; k++)
        printf("%s\"0x%" PRIx64 "\"", k ? "," : "", list[k]);
    putchar(']');
    end_answer();
}

/* Constructors and destructors. The kernel gives them nothing but the object: each needs its own function. */

static struct hook {
    uint64_t id;          /* the oracle's number for it, 0 where none is */
    unsigned char *bytes; /* what it writes over an object, again and again */
    size_t length, size;
    uint64_t cache;
} hooks[256];
static int given[2]; /* the constructor and the destructor of the request in hand, -1 for none */
static int givens;

static void imprint(int at, char *object)
{
    const struct hook *hook = &hooks[at];
    printf("{\"ran\":[%" PRIu64 ",\"0x%" PRIxPTR "\"]}\n", hook->id, (uintptr_t)object);
    for (size_t k = 0; k < hook->size; k += hook->length)
        memcpy(object + k, hook->bytes, hook->size - k < hook->length ? hook->size - k : hook->length);
}

#define ROW(X, n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7) \
                  X(n##8) X(n##9) X(n##a) X(n##b) X(n##c) X(n##d) X(n##e) X(n##f)
#define EACH(X) ROW(X, 0x0) ROW(X, 0x1) ROW(X, 0x2) ROW(X, 0x3) ROW(X, 0x4) ROW(X, 0x5) ROW(X, 0x6) ROW(X, 0x7) \
                ROW(X, 0x8) ROW(X, 0x9) ROW(X, 0xa) ROW(X, 0xb) ROW(X, 0xc) ROW(X, 0xd) ROW(X, 0xe) ROW(X, 0xf)
#define HOOK(n) static void hook_##n(void *object) { imprint(n, object); }
#define HOOK_26(n) \
    static void hook_26_##n(void *object, struct kmem_cache *cache, unsigned long flags) \
    { (void)cache; (void)flags; imprint(n, object); }
#define NAME(n) hook_##n,
#define NAME_26(n) hook_26_##n,
EACH(HOOK)
EACH(HOOK_26)
static void (*const functions[])(void *) = {EACH(NAME)};
static hook_26 *const functions_26[] = {EACH(NAME_26)};

/* Say which cache the hooks of the request in hand are of, and forget those of a cache that is no more. */
static void bind(uint64_t cache, uint64_t size)
{
    for (int k = 0; k < givens; k++)
        if (given[k] >= 0)
            hooks[given[k]].cache = cache, hooks[given[k]].size = size;
}

static void forget(uint64_t cache)
{
    for (size_t k = 0; k < sizeof hooks / sizeof *hooks; k++)
        if (hooks[k].id && hooks[k].cache == cache) {
            free(hooks[k].bytes);
            hooks[k].id = 0;
        }
}

static uint64_t created(struct kmem_cache *cache)
{
    bind((uintptr_t)cache, a[0]);
    if (!cache)
        forget(0);
    return (uintptr_t)cache;
}

static uint64_t create(void)
{
    bind(0, a[0]); /* a constructor may run at once */
    return created(kmem_cache_create(name, a[0], a[1], a[2], given[0] < 0 ? NULL : functions[given[0]]));
}

static uint64_t create_26(void)
{
    bind(0, a[0]);
    return created(kmem_cache_create_26(name, a[0], a[1], a[2], given[0] < 0 ? NULL : functions_26[given[0]],
                                        given[1] < 0 ? NULL : functions_26[given[1]]));
}

static void destroy(struct kmem_cache *cache)
{
    kmem_cache_destroy(cache);
    forget((uintptr_t)cache);
}

/* Pools over kmalloc, which can be told to fail. */

static struct pool {
    struct pool *next;
    mempool_t *handle;
    size_t size;
    bool fails;
} *pools;

static void *give(gfp_t gfp, void *pool)
{
    return ((struct pool *)pool)->fails ? NULL : kmalloc(((struct pool *)pool)->size, gfp);
}

static void take_back(void *element, void *pool) { (void)pool, kfree(element); }

static uint64_t create_pool(void)
{
    struct pool *pool = calloc(1, sizeof *pool);
    *pool = (struct pool){.next = pools, .size = a[1]};
    pool->handle = mempool_create((int)a[0], give, take_back, pool);
    pools = pool;
    return (uintptr_t)pool->handle;
}

static void pool_fails(void)
{
    for (struct pool *pool = pools; pool; pool = pool->next)
        if ((uintptr_t)pool->handle == a[0]) {
            pool->fails = a[1] != 0;
            return;
        }
}

/* Pages: the format knows a struct page by the address of its page. */

static uint64_t pages_bulk(void)
{
    memset(list, 0, a[1] < MOST ? a[1] * sizeof *list : sizeof list); /* it fills the places that are NULL */
    uint64_t got = alloc_pages_bulk((gfp_t)a[0], a[1], (struct page **)list);
    for (uint64_t k = 0; k < got && k < MOST; k++)
        list[k] = (uintptr_t)page_address((struct page *)list[k]);
    return got;
}

static uint64_t map(void)
{
    for (uint64_t k = 0; k < a[0]; k++)
        list[k] = (uintptr_t)virt_to_page((void *)list[k]);
    return (uintptr_t)vmap((struct page **)list, (unsigned)a[0], a[1], a[2]);
}

static uint64_t address_of(struct page *page) { return page ? (uintptr_t)page_address(page) : 0; }

static struct page *page_of(uint64_t at) { return at ? virt_to_page((void *)at) : NULL; }

/* Requests. */

static int new_hook(void)
{
    for (int k = 0; k < 256; k++)
        if (!hooks[k].id)
            return k;
    puts("{\"error\":\"more than 256 constructors\"}");
    exit(1);
}

static char *read_number(char *p, uint64_t *to)
{
    *to = strtoull(p + (*p == '"'), &p, 0);
    return p + (*p == '"');
}

static int digit(char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }

static char *read_hook(char *p)
{
    struct hook *hook = &hooks[given[givens++] = new_hook()];
    p = read_number(strchr(p, ':') + 1, &hook->id);
    p = strchr(strchr(p, ':'), '"') + 1;
    hook->length = strcspn(p, "\"") / 2;
    hook->bytes = malloc(hook->length + 1);
    for (size_t k = 0; k < hook->length; k++, p += 2)
        hook->bytes[k] = (unsigned char)(digit(p[0]) << 4 | digit(p[1]));
    return p + 2; /* behind "} */
}

static void read_arguments(char *p)
{
    int numbers = 0;
    name = NULL;
    givens = 0;
    given[0] = given[1] = -1;
    for (bool first = true; *p && *p != ']'; first = false) {
        if (*p == '[') {
            uint64_t *to = list;
            for (p++; *p != ']'; p += *p == ',')
                p = read_number(p, to++);
            p++;
        } else if (*p == '{') {
            p = read_hook(p);
        } else if (strncmp(p, "null", 4) == 0) {
            p += 4;
            givens += !first;
        } else if (*p == '"' && p[1] != '0') {
            name = p + 1;
            p = strchr(p + 1, '"');
            *p++ = 0;
        } else {
            p = read_number(p, &a[numbers++]);
        }
        p += *p == ',';
    }
}

/* The calls: name, what it needs besides itself, what it does. */

#define P(k) ((void *)a[k])
#define C ((struct kmem_cache *)a[0])
#define G(k) ((gfp_t)a[k])
#define A(pointer) address((uintptr_t)(pointer))
#define V(action) ((action), address(0))
#define PAGES (page_address && virt_to_page)
#define CALLS(X) \
    X(kmalloc, 1, A(kmalloc(a[0], G(1)))) \
    X(kzalloc, 1, A(kzalloc(a[0], G(1)))) \
    X(kmalloc_array, 1, A(kmalloc_array(a[0], a[1], G(2)))) \
    X(kcalloc, 1, A(kcalloc(a[0], a[1], G(2)))) \
    X(krealloc, 1, A(krealloc(P(0), a[1], G(2)))) \
    X(krealloc_array, 1, A(krealloc_array(P(0), a[1], a[2], G(3)))) \
    X(kmemdup, 1, A(kmemdup(P(0), a[1], G(2)))) \
    X(kstrdup, 1, A(kstrdup(P(0), G(1)))) \
    X(kstrndup, 1, A(kstrndup(P(0), a[1], G(2)))) \
    X(kfree, 1, V(kfree(P(0)))) \
    X(kfree_sensitive, 1, V(kfree_sensitive(P(0)))) \
    X(kfree_bulk, 1, V(kfree_bulk(a[0], (void **)list))) \
    X(ksize, 1, A(ksize(P(0)))) \
    X(kmalloc_size_roundup, 1, A(kmalloc_size_roundup(a[0]))) \
    X(kvmalloc, 1, A(kvmalloc(a[0], G(1)))) \
    X(kvzalloc, 1, A(kvzalloc(a[0], G(1)))) \
    X(kvmalloc_array, 1, A(kvmalloc_array(a[0], a[1], G(2)))) \
    X(kvcalloc, 1, A(kvcalloc(a[0], a[1], G(2)))) \
    X(kvrealloc, 1, A(kvrealloc(P(0), a[1], G(2)))) \
    X(kvfree, 1, V(kvfree(P(0)))) \
    X(kmem_cache_create, 1, A(create())) \
    X(kmem_cache_create_26, 1, A(create_26())) \
    X(kmem_cache_alloc, 1, A(kmem_cache_alloc(C, G(1)))) \
    X(kmem_cache_zalloc, 1, A(kmem_cache_zalloc(C, G(1)))) \
    X(kmem_cache_free, 1, V(kmem_cache_free(C, P(1)))) \
    X(kmem_cache_alloc_bulk, 1, many(kmem_cache_alloc_bulk(C, G(1), a[2], (void **)list))) \
    X(kmem_cache_free_bulk, 1, V(kmem_cache_free_bulk(C, a[1], (void **)list))) \
    X(kmem_cache_shrink, 1, number(kmem_cache_shrink(C))) \
    X(kmem_cache_size, 1, A(kmem_cache_size(C))) \
    X(kmem_cache_destroy, 1, V(destroy(C))) \
    X(__get_free_pages, 1, A(__get_free_pages(G(0), (unsigned)a[1]))) \
    X(get_zeroed_page, 1, A(get_zeroed_page(G(0)))) \
    X(free_pages, 1, V(free_pages(a[0], (unsigned)a[1]))) \
    X(alloc_pages, PAGES, A(address_of(alloc_pages(G(0), (unsigned)a[1])))) \
    X(__free_pages, PAGES, V(__free_pages(page_of(a[0]), (unsigned)a[1]))) \
    X(alloc_pages_bulk, PAGES, many((int64_t)pages_bulk())) \
    X(split_page, PAGES, V(split_page(page_of(a[0]), (unsigned)a[1]))) \
    X(alloc_pages_exact, 1, A(alloc_pages_exact(a[0], G(1)))) \
    X(free_pages_exact, 1, V(free_pages_exact(P(0), a[1]))) \
    X(get_order, 1, number(get_order(a[0]))) \
    X(vmalloc, 1, A(vmalloc(a[0]))) \
    X(vzalloc, 1, A(vzalloc(a[0]))) \
    X(vmalloc_user, 1, A(vmalloc_user(a[0]))) \
    X(vmalloc_32, 1, A(vmalloc_32(a[0]))) \
    X(vmalloc_array, 1, A(vmalloc_array(a[0], a[1]))) \
    X(vcalloc, 1, A(vcalloc(a[0], a[1]))) \
    X(__vmalloc, 1, A(__vmalloc(a[0], G(1)))) \
    X(vrealloc, 1, A(vrealloc(P(0), a[1], G(2)))) \
    X(vfree, 1, V(vfree(P(0)))) \
    X(vmap, PAGES, A(map())) \
    X(vunmap, 1, V(vunmap(P(0)))) \
    X(vmalloc_to_page, PAGES, A(address_of(vmalloc_to_page(P(0))))) \
    X(is_vmalloc_addr, 1, A(is_vmalloc_addr(P(0)))) \
    X(mempool_create, 1, A(create_pool())) \
    X(mempool_create_slab_pool, 1, A(mempool_create_slab_pool((int)a[0], P(1)))) \
    X(mempool_alloc, 1, A(mempool_alloc(P(0), G(1)))) \
    X(mempool_free, 1, V(mempool_free(P(0), P(1)))) \
    X(mempool_resize, 1, number(mempool_resize(P(0), (int)a[1]))) \
    X(mempool_destroy, 1, V(mempool_destroy(P(0))))

#define TEXT(words) #words
#define WEAK(name, needs, action) _Pragma(TEXT(weak name))
CALLS(WEAK)
#pragma weak page_address
#pragma weak virt_to_page
#pragma weak kmem_oracle_on_sleep
#pragma weak kmem_oracle_fail_nth

static void say_hello(void)
{
    const char *comma = "";
    printf("{\"kmem-oracle\":1,\"pid\":%d,\"sleeps\":%s,\"calls\":[", (int)getpid(),
           kmem_oracle_on_sleep ? "true" : "false");
#define TELL(name, needs, action) \
    if (name && needs) { \
        printf("%s\"" #name "\"", comma); \
        comma = ","; \
    }
    CALLS(TELL)
    if (kmem_oracle_fail_nth)
        printf("%s\"fail_nth\"", comma);
    if (mempool_create)
        printf(",\"mempool_fail\"");
    puts("]}");
}

static void serve(const char *call)
{
#define SERVE(name, needs, action) \
    if (strcmp(call, #name) == 0) { \
        action; \
        return; \
    }
    CALLS(SERVE)
    if (strcmp(call, "fail_nth") == 0)
        kmem_oracle_fail_nth((unsigned)a[0]);
    else if (strcmp(call, "mempool_fail") == 0)
        pool_fails();
    address(0);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    if (kmem_oracle_on_sleep)
        kmem_oracle_on_sleep(on_sleep);
    say_hello();
    for (fflush(stdout); getline(&line, &room, stdin) > 0; fflush(stdout)) {
        char *call = line + strlen("{\"call\":\""), *end = strchr(call, '"');
        *end = 0;
        read_arguments(end + strlen("\",\"args\":["));
        serve(call);
    }
    return 0;
}
