//: natural
/* Return the alignment that kmalloc owes a request. */
static size_t natural(size_t size)
{
	return size > 8 && !(size & (size - 1)) ? size : 8;
}

//: aligned
static void *aligned(size_t alignment, size_t size)
{
	void *got;

	return posix_memalign(&got, alignment, size) ? NULL : got;
}

//: settled
/* C lets less than 8 bytes lie anywhere: move them to where the kernel would have them. */
static void *settled(void *got, size_t size)
{
	void *moved = (size_t)got % 8 && size < 8 ? aligned(8, size) : NULL;

	if (!moved)
		return got;
	memcpy(moved, got, size);
	free(got);
	return moved;
}

//: clear
/* Zero an object from one byte to its usable end. */
static void clear(char *at, size_t from)
{
	if (at)
		memset(at + from, 0, malloc_usable_size(at) - from);
}

//: kmalloc
static void *kmalloc(size_t size, gfp_t gfp)
{
	void *got = size && size <= PAGE << 10 ? aligned(natural(size), size) : NULL;

	if (gfp & __GFP_ZERO)
		clear(got, 0);
	return size ? got : ZERO_SIZE_PTR;
}

//: kmalloc_array
static void *kmalloc_array(size_t count, size_t size, gfp_t gfp)
{
	size_t total;

	return __builtin_mul_overflow(count, size, &total) ? NULL : kmalloc(total, gfp);
}

//: kcalloc
static void *kcalloc(size_t count, size_t size, gfp_t gfp)
{
	size_t total;
	bool fits = !__builtin_mul_overflow(count, size, &total);
	void *got;

	if (!count || !size)
		return ZERO_SIZE_PTR;
	if (fits && (total > PAGE << 10 || natural(total) > 8))
		return kmalloc(total, gfp | __GFP_ZERO);
	got = calloc(count, size);
	if (fits) {
		got = settled(got, total);
		clear(got, total);
	}
	return got;
}

//: kzalloc
static void *kzalloc(size_t size, gfp_t gfp)
{
	return kcalloc(1, size, gfp);
}

//: kfree
static void kfree(void *object)
{
	if (object != ZERO_SIZE_PTR)
		free(object);
}

//: ksize
static size_t ksize(void *object)
{
	return object == ZERO_SIZE_PTR ? 0 : malloc_usable_size(object);
}

//: krealloc
static void *krealloc(void *old, size_t size, gfp_t gfp)
{
	size_t usable = ksize(old);
	void *got;

	if (!old || old == ZERO_SIZE_PTR)
		return kmalloc(size, gfp);
	if (!size) {
		free(old);
		return ZERO_SIZE_PTR;
	}
	if (size > PAGE << 10)
		return NULL;
	if (natural(size) == 8) {
		got = settled(realloc(old, size), size);
		if (gfp & __GFP_ZERO)
			clear(got, usable < size ? usable : size);
		return got;
	}
	got = kmalloc(size, gfp);
	if (got) {
		memcpy(got, old, usable < size ? usable : size);
		free(old);
	}
	return got;
}

//: __get_free_pages
static unsigned long __get_free_pages(gfp_t gfp, unsigned order)
{
	void *got = order <= 10 ? aligned(PAGE << order, PAGE << order) : NULL;

	if (got && gfp & __GFP_ZERO)
		memset(got, 0, PAGE << order);
	return (unsigned long)got;
}

//: get_zeroed_page
static unsigned long get_zeroed_page(gfp_t gfp)
{
	return __get_free_pages(gfp | __GFP_ZERO, 0);
}

//: free_pages
static void free_pages(unsigned long start, unsigned order)
{
	(void)order;
	free((void *)start);
}
