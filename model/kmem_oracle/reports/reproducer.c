//: home
/* A cache or a pool: its handle, the bytes of an object, the pattern of its constructed state (0 for none). */
struct home {
	void *handle;
	size_t size;
	unsigned built;
	bool failing;
	bool owes; //?slots
};

//: object
/* An object in hand: its bytes and the most that it was ever asked to have, the number of its pattern. */
struct object {
	unsigned char *at;
	size_t size, high;
	unsigned number;
	bool live, zeroed;
	struct home *home;
	size_t usable; //?measured
	size_t extent, guard; //?list
	unsigned long born; //?list
	struct object *next, *previous; //?list
};

//: fault
/* The fault shows. */
static void __attribute__((noreturn, format(printf, 1, 2))) fault(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	printf("%s: ", CLAUSE);
	vprintf(format, arguments);
	putchar('\n');
	va_end(arguments);
	fflush(stdout);
	_exit(1);
}

//: lost
/* A call crashed, or did not return. */
static void lost(int number)
{
	static const char crashed[] = CLAUSE ": crashed\n", hangs[] = CLAUSE ": does not return\n";
	const char *text = number == SIGALRM ? hangs : crashed;

	_exit(write(1, text, strlen(text)) < 0 ? 2 : 1);
}

//: catch_crashes
static void catch_crashes(void)
{
	static char stack[1 << 16];
	static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM};
	struct sigaction action = {.sa_handler = lost, .sa_flags = SA_ONSTACK};

	sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
	for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
		sigaction(numbers[k], &action, NULL);
}

//: left
static bool over;

/* The library ended the program. */
static void left(void)
{
	if (!over)
		fault("ends the program");
}

//: fill
#define PERIOD 65521u /* a prime, so that no two pages look alike */
static unsigned char pattern[PERIOD];
static unsigned numbers;

/* Write the pattern of that number over an object; none of its bytes is zero. */
static void fill(unsigned char *at, size_t size, unsigned number)
{
	size_t from = number * 40503ul % PERIOD;

	if (!pattern[0])
		for (unsigned k = 0, x = 1; k < PERIOD; k++, x = x * 1664525u + 1013904223u)
			pattern[k] = 1 + (x >> 16) % 255;
	for (size_t done = 0, part; done < size; done += part, from = 0) {
		part = size - done < PERIOD - from ? size - done : PERIOD - from;
		memcpy(at + done, pattern + from, part);
	}
}

//: compare
/* Look for the pattern of that number. */
static void compare(const unsigned char *at, size_t size, unsigned number, const char *what)
{
	size_t from = number * 40503ul % PERIOD;

	for (size_t k = 0; k < size; k++, from = from + 1 == PERIOD ? 0 : from + 1)
		if (at[k] != pattern[from])
			fault("byte %zu of %zu at %p is not %s", k, size, (void *)at, what);
}

//: zeroes
/* Look for zeroes from one byte of an object to another. */
static void zeroes(const struct object *o, size_t from, size_t to)
{
	for (size_t k = from; k < to; k++)
		if (o->at[k])
			fault("byte %zu of %zu at %p is %#x, not zero", k, to, (void *)o->at, o->at[k]);
}

//: apart
static struct object *all;
static unsigned long now; /* how many calls were made */

/* A live object has `extent` bytes to itself, and those of its guard: compare with the others. */
static void apart(struct object *o, size_t extent, size_t guard)
{
	if (!o->live || o->extent || o->at == ZERO_SIZE_PTR)
		return;
	for (const struct object *other = all; other; other = other->next) {
		if (o->at >= other->at + other->extent + other->guard || other->at >= o->at + extent + guard)
			continue;
		fault("%zu bytes at %p and %zu at %p, both live, share a byte or a guard page", extent,
		      (void *)o->at, other->extent, (void *)other->at);
	}
	o->extent = extent;
	o->guard = guard;
	o->born = now;
	o->previous = NULL;
	o->next = all;
	if (all)
		all->previous = o;
	all = o;
}

//: unlist
/* Take an object off the list of live ones. */
static void unlist(struct object *o)
{
	if (!o->extent)
		return;
	*(o->previous ? &o->previous->next : &all) = o->next;
	if (o->next)
		o->next->previous = o->previous;
	o->extent = 0;
}

//: covered
/* Return the live object in which a place lies. */
static struct object *covered(const unsigned char *at, size_t size)
{
	for (struct object *o = all; o; o = o->next)
		if (o->at < at + size && at < o->at + o->extent)
			return o;
	return NULL;
}

//: slot_at
static struct slot {
	unsigned char *at;
	struct home *home;
	unsigned long since;
} slots[SLOTS];
static size_t known_slots;

/* Return the constructed slot at an address. */
static struct slot *slot_at(const void *at)
{
	for (size_t k = 0; k < known_slots; k++)
		if (slots[k].at == at && slots[k].home)
			return &slots[k];
	return NULL;
}

//: tally
static long live; /* objects */
static unsigned long since; /* calls since there were none */

/* Take a call by which so many objects more are live. */
static void tally(long more)
{
	live += more;
	since = live ? since + 1 : 0;
}

//: tell
static unsigned long served, refused; /* how often the last call was made before */
static long opened; /* caches and pools that there are */ //?opens

static void tell(bool got)
{
	*(got ? &served : &refused) += 1;
}

//: take
/* Hold a new object: look for zeroes where they are promised, and fill it. */
static void take(struct object *o, void *got, size_t size, bool zeroed)
{
	if (!got || got == ZERO_SIZE_PTR)
		size = 0;
	*o = (struct object){.at = got, .size = size, .high = size, .live = got != NULL, .zeroed = zeroed};
	if (zeroed)
		zeroes(o, 0, size);
	o->number = ++numbers;
	fill(o->at, size, o->number);
	tally(o->live && o->at != ZERO_SIZE_PTR); //?count
}

//: take_from
/* Hold a new object of a cache or a pool: look for zeroes, or for the constructed state, and fill it. */
static void take_from(struct object *o, struct home *home, void *got, bool zeroed)
{
	struct slot *slot = slot_at(got); //?slots

	if (got && home->built && slot && slot->home->handle != home->handle) //?slots
		fault("the object at %p was last constructed by another cache", got); //?slots
	if (got && home->built && !zeroed)
		compare(got, home->size, home->built, "as it was constructed");
	take(o, got, home->size, zeroed);
	o->home = home;
}

//: holds
/* Say whether an object lives; its owner has written it, and nobody else. */
static bool holds(const struct object *o)
{
	if (o->live)
		compare(o->at, o->size, o->number, "as its owner wrote it");
	return o->live;
}

//: give
/* Hold an object no longer; one of a cache with a constructor goes back as it came. */
static void *give(struct object *o)
{
	o->live = false;
	tally(o->at == ZERO_SIZE_PTR ? 0 : -1); //?count
	unlist(o); //?list
	if (o->home && o->home->built)
		fill(o->at, o->size, o->home->built);
	return o->at;
}

//: resized
/* Take what a resize of a live object gave; `ends` says that NULL for 0 bytes means that it is freed.
 * A size of SIZE_MAX stands for one that nobody touches. */
static void resized(struct object *o, struct object *from, void *got, size_t size, bool zeroed, bool ends)
{
	struct object old = *from;

	if (old.at == ZERO_SIZE_PTR) {
		take(o, got, size, zeroed);
		return;
	}
	if (!got && size)
		compare(old.at, old.size, old.number, "as it was, though the resize failed");
	if (!got && (size || !ends))
		return;
	unlist(from); //?list
	from->live = false;
	*o = (struct object){.at = got, .live = got != NULL, .zeroed = old.zeroed && zeroed};
	tally(got && got != ZERO_SIZE_PTR ? 0 : -1); //?count
	if (!got || got == ZERO_SIZE_PTR || size == SIZE_MAX)
		return;
	compare(o->at, old.size < size ? old.size : size, old.number, "as it was before the resize");
	o->size = size;
	o->high = old.high > size ? old.high : size;
	if (o->zeroed)
		zeroes(o, old.high, size); //?lenient
		zeroes(o, ends ? old.high : old.size, size); //?strict
	o->number = ++numbers;
	fill(o->at, size, o->number);
}

//: copied
/* Hold a copy of the first bytes of an object. */
static void copied(struct object *o, const struct object *of, void *got, size_t size)
{
	if (got && got != ZERO_SIZE_PTR)
		compare(got, size < of->size ? size : of->size, of->number, "as in what was copied");
	take(o, got, size, false);
}

//: as_string
/* Make a string of an object. */
static char *as_string(struct object *o)
{
	o->at[o->size - 1] = 0;
	return (char *)o->at;
}

//: copied_string
/* Hold a copy of a string, of so many characters at most. */
static void copied_string(struct object *o, struct object *of, char *got, size_t most)
{
	size_t length = of->size - 1 < most ? of->size - 1 : most;

	fill(of->at, of->size, of->number);
	if (got) {
		compare((unsigned char *)got, length, of->number, "as in what was copied");
		if (got[length])
			fault("the copy of %zu characters at %p has no NUL", length, (void *)got);
	}
	take(o, got, length + 1, false);
}

//: hold_all
/* Say whether all objects of an array live, as their owner wrote them. */
static bool hold_all(const struct object *o, size_t count)
{
	for (size_t k = 0; k < count; k++)
		if (!holds(&o[k]))
			return false;
	return true;
}

//: pointers
static void *pointers[MOST];

//: blank
/* Return an array of no pages, which a call may fill. */
static struct page **blank(void)
{
	memset(pointers, 0, sizeof pointers);
	return (struct page **)pointers;
}

//: give_all
/* Hold the objects of an array no longer. */
static void **give_all(struct object *o, size_t count)
{
	for (size_t k = 0; k < count; k++)
		pointers[k] = give(&o[k]);
	return pointers;
}

//: take_all
/* Hold the objects that a bulk call gave. */
static void take_all(struct object *o, struct home *home, size_t count, size_t got, bool zeroed)
{
	for (size_t k = 0; k < count; k++)
		take_from(&o[k], home, k < got ? pointers[k] : NULL, zeroed);
}

//: address_of
static void *address_of(struct page *page)
{
	return page ? page_address(page) : NULL;
}

//: page_of
static struct page *page_of(void *at)
{
	return at ? virt_to_page(at) : NULL;
}

//: take_pages
/* Hold the pages that a bulk call gave. */
static void take_pages(struct object *o, size_t count, size_t got, bool zeroed)
{
	for (size_t k = 0; k < count; k++)
		take(&o[k], k < got ? address_of(pointers[k]) : NULL, PAGE, zeroed);
}

//: pieces
/* Hold the pages that a block was split into. */
static void pieces(struct object *o, unsigned char *at, size_t count)
{
	for (size_t k = 0; k < count; k++)
		take(&o[k], at + k * PAGE, PAGE, false);
}

//: pages_of
/* Return the pages of an array of objects. */
static struct page **pages_of(const struct object *o, size_t count)
{
	for (size_t k = 0; k < count; k++)
		pointers[k] = page_of(o[k].at);
	return (struct page **)pointers;
}

//: mapped
/* Hold a map of pages: it shows them in order, and what is written to it is written to them. */
static void mapped(struct object *o, void *got, const struct object *pages, size_t count)
{
	*o = (struct object){.at = got, .live = got != NULL};
	for (size_t k = 0; got && k < count; k++) {
		compare(o->at + k * PAGE, PAGE, pages[k].number, "as in its pages");
		o->at[k * PAGE] ^= 0xff;
		if (pages[k].at[0] != o->at[k * PAGE])
			fault("what is written to page %zu of %p is not written to its page", k, got);
		pages[k].at[0] = o->at[k * PAGE] ^= 0xff;
	}
}

//: backs
static struct frame {
	const struct object *area;
	unsigned number;
	size_t page;
	unsigned char *at;
} frames[FRAMES];
static size_t known_frames;

/* A frame is behind a page of an area: no other page has it, nor has a live object. */
static void backs(const struct object *area, size_t place, void *at)
{
	const struct object *other = at ? covered(at, PAGE) : NULL;

	if (!at || (uintptr_t)at % PAGE)
		fault("no page at %p behind page %zu of the area", at, place / PAGE);
	for (size_t k = 0; k < known_frames; k++) {
		const struct frame *f = &frames[k];
		bool same = f->area == area && f->page == place / PAGE;

		if (f->area->live && f->area->number == f->number && same != (f->at == at))
			fault("page %zu of the area has the frame %p, page %zu of that at %p %p", place / PAGE, at,
			      f->page, (void *)f->area->at, (void *)f->at);
	}
	if (other && other != area)
		fault("page %zu of the area has the frame %p, where an object lives", place / PAGE, at);
	frames[known_frames++] = (struct frame){area, area->number, place / PAGE, at};
}

//: backs_nothing
/* A new object lies on no frame of an area. */
static void backs_nothing(const struct object *o)
{
	for (size_t k = 0; k < known_frames; k++) {
		const struct frame *f = &frames[k];

		if (o->live && f->area->live && f->area->number == f->number && f->at < o->at + o->extent &&
		    o->at < f->at + PAGE)
			fault("the object at %p lies on page %zu of a live area", (void *)o->at, f->page);
	}
}

//: constructs
/* A constructor runs: on no live object, and not again while an older object of its page lives. */
static void constructs(struct home *home, unsigned char *at)
{
	struct slot *slot = slot_at(at);

	if (covered(at, 8))
		fault("a constructor ran at %p, where an object lives", (void *)at);
	if (slot && slot->home->handle && slot->home->owes)
		fault("a constructor ran again at %p, and no destructor before", (void *)at);
	for (const struct object *o = slot && slot->home == home ? all : NULL; o; o = o->next)
		if (o->home && o->home->built && ((uintptr_t)o->at ^ (uintptr_t)at) < PAGE && o->born <= slot->since)
			fault("a constructor ran again at %p, on a page that lived on", (void *)at);
	if (!slot && known_slots < SLOTS)
		slot = &slots[known_slots++];
	if (slot)
		*slot = (struct slot){at, home, now};
}

//: destructs
/* A destructor runs: once on what is constructed, and on no live object. */
static void destructs(struct home *home, unsigned char *at)
{
	struct slot *slot = slot_at(at);

	if (covered(at, 8))
		fault("a destructor ran at %p, where an object lives", (void *)at);
	if (!slot || slot->home != home)
		fault("a destructor ran at %p, which is not constructed", (void *)at);
	slot->home = NULL;
}

//: ended
/* A cache is gone: no destructor is owed any more. */
static void ended(struct home *home)
{
	for (size_t k = 0; k < known_slots; k++) {
		if (slots[k].home == home && home->owes)
			fault("no destructor ran at %p, and the cache is gone", (void *)slots[k].at);
		if (slots[k].home == home)
			slots[k].home = NULL;
	}
}

//: construct
static void construct(struct home *home, void *at)
{
	constructs(home, at); //?slots
	fill(at, home->size, home->built);
}

//: destruct
static void destruct(struct home *home, void *at)
{
	destructs(home, at); //?slots
	fill(at, home->size, ~home->built);
}

//: closed
/* Use a cache or a pool no longer. */
static void *closed(struct home *home)
{
	void *handle = home->handle;

	home->handle = NULL;
	opened--; //?opens
	return handle;
}

//: provide
/* Where the pool gets its elements from. */
static void *provide(gfp_t gfp, void *pool)
{
	const struct home *home = pool;

	return home->failing ? NULL : kmalloc(home->size, gfp);
}

//: put_back
static void put_back(void *element, void *pool)
{
	(void)pool;
	kfree(element);
}

//: sleeps
static int slept;

static void sleeps(void)
{
	slept++;
}

