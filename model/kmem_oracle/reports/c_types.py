"""What a C program has to say of the kernel's calls before it makes them: prototypes and numbers.

Sources: include/linux/slab.h, gfp.h, mm.h, vmalloc.h, mempool.h; the 2.6 form of kmem_cache_create:
linux/slab.h of 2.6.12.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from kmem_oracle.language.syntax import FLAGS

_PROTOTYPES: Final = """
void *kmalloc(size_t size, gfp_t gfp);
void *kzalloc(size_t size, gfp_t gfp);
void *kmalloc_array(size_t count, size_t size, gfp_t gfp);
void *kcalloc(size_t count, size_t size, gfp_t gfp);
void *krealloc(const void *old, size_t size, gfp_t gfp);
void *krealloc_array(void *old, size_t count, size_t size, gfp_t gfp);
void *kmemdup(const void *source, size_t size, gfp_t gfp);
char *kstrdup(const char *source, gfp_t gfp);
char *kstrndup(const char *source, size_t most, gfp_t gfp);
void kfree(const void *object);
void kfree_sensitive(const void *object);
void kfree_bulk(size_t count, void **objects);
size_t ksize(const void *object);
size_t kmalloc_size_roundup(size_t size);
void *kvmalloc(size_t size, gfp_t gfp);
void *kvzalloc(size_t size, gfp_t gfp);
void *kvmalloc_array(size_t count, size_t size, gfp_t gfp);
void *kvcalloc(size_t count, size_t size, gfp_t gfp);
void *kvrealloc(const void *old, size_t size, gfp_t gfp);
void kvfree(const void *object);
struct kmem_cache *kmem_cache_create(const char *name, unsigned size, unsigned align, unsigned flags,\
 void (*ctor)(void *));
struct kmem_cache *kmem_cache_create_26(const char *name, size_t size, size_t offset, unsigned long flags,\
 void (*ctor)(void *, struct kmem_cache *, unsigned long),\
 void (*dtor)(void *, struct kmem_cache *, unsigned long));
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp);
void *kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *cache, void *object);
int kmem_cache_alloc_bulk(struct kmem_cache *cache, gfp_t gfp, size_t count, void **objects);
void kmem_cache_free_bulk(struct kmem_cache *cache, size_t count, void **objects);
int kmem_cache_shrink(struct kmem_cache *cache);
unsigned kmem_cache_size(struct kmem_cache *cache);
void kmem_cache_destroy(struct kmem_cache *cache);
unsigned long __get_free_pages(gfp_t gfp, unsigned order);
unsigned long get_zeroed_page(gfp_t gfp);
void free_pages(unsigned long start, unsigned order);
struct page *alloc_pages(gfp_t gfp, unsigned order);
void __free_pages(struct page *page, unsigned order);
unsigned long alloc_pages_bulk(gfp_t gfp, unsigned long count, struct page **pages);
void split_page(struct page *page, unsigned order);
void *alloc_pages_exact(size_t size, gfp_t gfp);
void free_pages_exact(void *start, size_t size);
int get_order(unsigned long size);
void *page_address(struct page *page);
struct page *virt_to_page(const void *start);
void *vmalloc(unsigned long size);
void *vzalloc(unsigned long size);
void *vmalloc_user(unsigned long size);
void *vmalloc_32(unsigned long size);
void *vmalloc_array(size_t count, size_t size);
void *vcalloc(size_t count, size_t size);
void *__vmalloc(unsigned long size, gfp_t gfp);
void *vrealloc(const void *old, size_t size, gfp_t gfp);
void vfree(const void *area);
void *vmap(struct page **pages, unsigned count, unsigned long flags, unsigned long prot);
void vunmap(const void *area);
struct page *vmalloc_to_page(const void *place);
bool is_vmalloc_addr(const void *place);
mempool_t *mempool_create(int number, void *(*alloc_fn)(gfp_t, void *), void (*free_fn)(void *, void *),\
 void *data);
mempool_t *mempool_create_slab_pool(int number, struct kmem_cache *cache);
void *mempool_alloc(mempool_t *pool, gfp_t gfp);
void mempool_free(void *element, mempool_t *pool);
int mempool_resize(mempool_t *pool, int number);
void mempool_destroy(mempool_t *pool);
void kmem_oracle_fail_nth(unsigned n);
void kmem_oracle_on_sleep(void (*slept)(void));
void preempt_disable(void);
void preempt_enable(void);
"""
PROTOTYPES: Final = {
    re.split(r"[ *]", line.partition("(")[0])[-1]: line for line in _PROTOTYPES.strip().splitlines()
}
_WORD: Final = re.compile(r"\b[A-Za-z_]\w*\b")


def words_in(text: str) -> set[str]:
    """Return the identifiers in C source."""
    return set(_WORD.findall(text))


def numbers_in(text: str, masks: Mapping[str, int]) -> list[str]:
    """Return the definitions of the masks and flags that C source names."""
    known = {**masks, **FLAGS}
    used = [name for name in known if name in words_in(text)]
    return [f"#define {name} {known[name]:#x}u" for name in used]


def prototypes_in(text: str) -> list[str]:
    """Return the declarations of the calls that C source makes."""
    return [prototype for name, prototype in PROTOTYPES.items() if name in words_in(text)]
