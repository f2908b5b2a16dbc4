/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the programs of the vectors (spec/vectors.md) on an allocator: vectors FILE.jsonl [LIBRARY.so]
 *
 * Without a library it is what is linked to this program. A line for each that fails; status 1 if any, 2 where
 * nothing could be run. Integers and pointers are passed alike, as the ABIs of 64-bit systems do.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PASSED, FAILED, UNDECIDED, NOT_RUN, PAGE = 4096, FIELDS = 20, THINGS = 16384, SLOTS = 65536, BUILT = 0xc5 };
enum { RETRIES = 16 }; /* rounds in a row that prove that memory is lost */
typedef unsigned long word;
typedef word function(word, word, word, word, word, word);
struct line {
    const char *key[FIELDS], *value[FIELDS];
    int fields, worked, refused; /* in which rounds: whether in the first, how many in a row */
};
static struct thing {
    unsigned char *at;
    size_t bytes, guard, built;
    long birth, told; /* told: by ksize; shows: the contents of other objects */
    bool live, handle, shows;
} things[THINGS];
static struct slot { unsigned char *at; long when; } slots[SLOTS]; /* those that are constructed */
static long last, made, round_now, now, pool_fails, slept, refused, dtors, uneven;
static void *library, *array[THINGS];
static const char *program, *call, *args;

/* Return the field of that name, empty where there is none. */
static const char *text(const struct line *l, const char *key)
{
    int i = 0;
    for (; i < l->fields && strcmp(l->key[i], key); i++);
    return i < l->fields ? l->value[i] : "";
}

static bool is(const struct line *l, const char *key, const char *value) { return !strcmp(text(l, key), value); }
static word number(const struct line *l, const char *key, word other)
{
    return *text(l, key) ? strtoul(text(l, key), NULL, 0) : other;
}

static void fail(const char *form, ...)
{
    va_list rest;
    va_start(rest, form);
    printf("FAIL %s: call %ld, %s(%s): ", program, now, call, args);
    vprintf(form, rest);
    exit((printf("\n"), FAILED));
}

#define CALL(name, a, b, c, d, e, f) ((function *)dlsym(library, name))(a, b, c, d, e, f)
#define ASK(name, a, b) CALL(name, a, b, 0, 0, 0, 0)
/* What an object holds: another pattern for each, never a zero byte. */
static unsigned char pattern(const struct thing *t, size_t i)
{
    return (unsigned char)((size_t)(t - things) * 37 + i * 7 + (i >> 8) * 13) | 0x80;
}

static void compare(const struct thing *t, const unsigned char *at, size_t bytes)
{
    for (size_t i = 0; !t->shows && i < bytes; i++)
        if (at[i] != pattern(t, i))
            fail("byte %zu of %zu is not as the owner of #%d wrote it", i, bytes, (int)(t - things));
}

static void all(const unsigned char *at, size_t from, size_t to, unsigned char byte)
{
    for (size_t i = from; i < to; i++)
        if (at[i] != byte)
            fail("byte %zu is %#x, not %#x", i, at[i], byte);
}

static struct thing *living(const unsigned char *from, const unsigned char *to)
{
    for (struct thing *t = things + 1; t <= things + last; t++)
        if (t->live && t->bytes && !t->handle && t->at < to && from < t->at + t->bytes + t->guard)
            return t;
    return NULL;
}

/* Take the run of a constructor or a destructor. */
static void runs(unsigned char *p, bool builds)
{
    long slot = 0;
    for (; slot < made && slots[slot].at != p; slot++);
    bool again = slot < made, wrong = living(p, p + 8) || (builds ? again && dtors : !again);
    for (struct thing *t = things; builds && again && t <= things + last; t++)
        wrong |= t->live && t->built && (word)t->at / PAGE == (word)p / PAGE && t->birth <= slots[slot].when;
    if (wrong)
        fail("a %s ran at %p, where none may", builds ? "constructor" : "destructor", (void *)p);
    made += builds ? !again && made + 1 < SLOTS : -1;
    slots[slot] = builds ? (struct slot){p, now} : slots[made];
    memset(p, builds ? BUILT : 0xdd, 8);
}

static void ctor(unsigned char *p) { runs(p, true); }
static void dtor(unsigned char *p) { runs(p, false); }
static void *pool_alloc(unsigned gfp, word size) { return pool_fails ? NULL : (void *)ASK("kmalloc", size, gfp); }
static void pool_free(void *p, word size) { ASK("kfree", (word)p, size); }
static void on_sleep(void) { slept = true; }

/* Take an argument; false where what it names does not live. */
static bool argument(const char *token, word *value)
{
    const struct { const char *name; word value; } words[] = {
        {"name", (word) "v"}, {"ctor", (word)ctor}, {"dtor", (word)dtor}, {"pool_alloc", (word)pool_alloc},
        {"pool_free", (word)pool_free}};
    for (int i = 0; i < 5; i++)
        if (!strcmp(token, words[i].name))
            return *value = words[i].value, true;
    if (!strchr("#@&", *token))
        return *value = strtoul(token, NULL, 0), true;
    char *end;
    long id = strtol(token + 1, &end, 10), several = *end == '*' ? strtol(end + 1, NULL, 10) : 1;
    memset(array, 0, several * sizeof *array);
    for (long i = 0; *token != '&' && i < several; i++)
        if (things[id + i].live)
            array[i] = *token == '@' ? (void *)ASK("virt_to_page", (word)things[id + i].at, 0) : things[id + i].at;
        else
            return false;
    *value = *end == '*' ? (word)array : (word)array[0] + (*end == '+' ? strtoul(end + 1, NULL, 10) : 0);
    return true;
}

/* Look at a new object, and fill it. */
static void enter(const struct line *l, int id, word result)
{
    struct thing *t = &things[id], *other, old = *t;
    size_t bytes = number(l, "bytes", 0), guard = number(l, "guard", 0), built = number(l, "built", 0);
    unsigned char *at = (unsigned char *)result;
    bool handle = is(l, "gives", "handle"), stays = *text(l, "from") && old.at == at;
    t->live = false;
    if (result != number(l, "at", result) || (result % number(l, "align", 1) && !stays))
        fail("gave %p, due: at %s, align %s", (void *)at, text(l, "at"), text(l, "align"));
    if (bytes && (other = living(at, at + bytes + guard)))
        fail("gave %p, which shares bytes with #%d at %p", (void *)at, (int)(other - things), (void *)other->at);
    all(at, number(l, "zero_from", 0), number(l, "zero_to", 0), 0);
    compare(*text(l, "of") ? &things[number(l, "of", 0)] : t, at, number(l, "keep", 0));
    all(at, number(l, "string", 0), *text(l, "string") ? number(l, "string", 0) + 1 : 0, 0);
    all(at, 0, handle ? 0 : built, BUILT);
    *t = (struct thing){at, bytes, guard, built, now, 0, true, handle, *text(l, "maps")};
    last = id > last ? id : last;
    struct thing *page = &things[number(l, "maps", 0)];
    for (size_t i = 0; t->shows && i < bytes; at[i] ^= 0xff, i += PAGE, page++)
        if (memcmp(at + i, page->at, PAGE) || (at[i] ^= 0xff) != *page->at)
            fail("byte %zu is not that of the page", i);
    for (size_t i = 0; !handle && !t->shows && i < bytes; i++)
        at[i] = pattern(t, i);
}

/* Look at what an object holds before its owner gives it back, in its constructed state if it has one. */
static void leave(struct thing *t)
{
    if (t->live && !t->handle)
        compare(t, t->at, t->bytes), memset(t->at, BUILT, t->built);
    t->live = false;
}

static void check_result(struct line *l, word result)
{
    const char *gives = text(l, "gives");
    int id = (int)number(l, "as", 0), count = (int)number(l, "count", 1), given = (int)result;
    if (!strcmp(gives, "objects") || !strcmp(gives, "pages")) {
        if (given < 0 || given > count || (given && given < count && is(l, "fewer", "no")))
            fail("gave %d of %d", given, count);
        for (int i = 0; i < given; i++)
            enter(l, id + i, *gives == 'p' ? ASK("page_address", (word)array[i], 0) : (word)array[i]);
        refused |= given < count;
    } else if (!strcmp(gives, "frame")) {
        void *at = result ? (void *)ASK("page_address", result, 0) : NULL;
        if (!at || memcmp(at, things[number(l, "of", 0)].at + number(l, "offset", 0), PAGE))
            fail("gave %p, which is not the page there", at);
    } else if (id) {
        l->refused = result || !l->worked || uneven ? 0 : l->refused + 1; /* uneven: not all was given back */
        l->worked |= result && round_now == 0;
        if ((result ? is(l, "null", "must") : is(l, "null", "no")) || l->refused == RETRIES)
            fail(l->refused ? "gave %p again, though it did not at first" : "gave %p", (void *)result);
        refused |= !result && is(l, "null", "may") && !round_now;
        if (result)
            enter(l, id, !strcmp(gives, "page") ? ASK("page_address", result, 0) : result);
    } else {
        word value = *gives == 'n' ? result : *gives == 'b' ? (char)result != 0 : (unsigned)result;
        struct thing *t = &things[number(l, "widens", 0)];
        if (value < number(l, "least", 0) || value > number(l, "most", -1ul) || (t->told && t->told != (long)value))
            fail("gave %lu", value);
        for (; t > things && t->bytes < value; t->bytes++) /* its owner may have all of it */
            t->at[t->bytes] = pattern(t, t->bytes);
        t->told = t > things ? value : 0;
    }
}

static void run_line(struct line *l)
{
    word a[6] = {0};
    call = text(l, "call"), args = text(l, "args"), now++;
    char words[256] = "", *rest = strncpy(words, args, 255), *token;
    for (int n = 0; n < 6 && (token = strsep(&rest, " ")); n++)
        if (*token && !argument(token, &a[n]))
            return; /* nothing is asked of what does not live */
    int ends = (int)number(l, "ends", 0), count = (int)number(l, "count", 1), split = (int)number(l, "splits", 0);
    struct thing *from = &things[number(l, "from", 0)], *of = &things[number(l, "of", 0)];
    for (int i = 0; ends && i < count; i++)
        leave(&things[ends + i]);
    compare(from, from->at, from->bytes); /* things[0] has no bytes */
    leave(&things[split]);
    if (!strcmp(call, "mempool_fail"))
        pool_fails = a[1];
    if (!strcmp(call, "mempool_fail") || !strcmp(call, "check") || !strncmp(call, "preempt_", 8))
        return;
    unsigned char *nul = *text(l, "string") ? of->at + of->bytes - 1 : &(unsigned char){0};
    *nul = 0, slept = false;
    alarm(20);
    word result = CALL(call, a[0], a[1], a[2], a[3], a[4], a[5]);
    *nul = pattern(of, of->bytes - 1);
    if (slept && is(l, "sleep", "no"))
        fail("slept");
    for (int i = 0; split && i < count; i++)
        enter(l, (int)number(l, "as", 0) + i, (word)things[split].at + i * PAGE);
    if (*text(l, "gives"))
        check_result(l, result);
    if (!result && from > things)
        compare(from, from->at, from->bytes);
    if (*text(l, "rest") && made)
        fail("no destructor ran for %ld slots", made);
}

static int run(struct line *l, struct line *end, const char *path)
{
    library = path ? dlopen(path, RTLD_NOW) : RTLD_DEFAULT;
    dtors = *text(l, "dtors");
    char *rest = strdup(text(l, "needs")), *need;
    while ((need = strsep(&rest, " ")))
        if (*need && !dlsym(library, need))
            return NOT_RUN;
    if (dlsym(library, "kmem_oracle_on_sleep"))
        ASK("kmem_oracle_on_sleep", (word)on_sleep, 0);
    for (struct line *begin = l++; l < end; l++)
        if (*text(l, "repeat"))
            begin = l, round_now = 0;
        else if (!*text(l, "end"))
            run_line(l);
        else if (uneven |= living(NULL, (void *)-1ul) != NULL, ++round_now < (int)number(l, "end", 1))
            l = begin;
    return refused ? UNDECIDED : PASSED;
}

/* Cut a flat JSON object into its fields: strings without escapes, and numbers. */
static bool cut(char *at, struct line *l)
{
    while ((at = strchr(at, '"')) && l->fields < FIELDS) {
        l->key[l->fields] = at + 1;
        if (!(at = strchr(at + 1, '"')) || at[1] != ':')
            return false;
        *at = 0;
        char *value = at + 2 + (at[2] == '"');
        if (!(at = value + strcspn(value, at[2] == '"' ? "\"" : ",}")) || !*at)
            return false;
        l->value[l->fields++] = value;
        *at++ = 0;
    }
    return !at;
}

int main(int argc, char **argv)
{
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (!file || (argc > 2 && !dlopen(argv[2], RTLD_LAZY)))
        return fprintf(stderr, "vectors: %s\n", file ? dlerror() : "cannot read the file of programs"), 2;
    size_t count = 0, counts[4] = {0}, length = 0;
    struct line *lines = NULL;
    for (char *buffer = NULL; getline(&buffer, &length, file) >= 0; buffer = NULL, length = 0) {
        lines = count % 1024 ? lines : realloc(lines, (count + 1024) * sizeof *lines);
        lines[count].fields = lines[count].refused = lines[count].worked = 0;
        if (!cut(buffer, &lines[count++]))
            return fprintf(stderr, "vectors: %s: line %zu cannot be read\n", argv[1], count), 2;
    }
    for (size_t i = 1, next; i < count; i = next) {
        for (next = i + 1; next < count && !*text(&lines[next], "program"); next++);
        int status = fflush(stdout);
        if (!*(program = text(&lines[i], "program")))
            continue;
        if (fork() == 0)
            exit(run(&lines[i], &lines[next], argc > 2 ? argv[2] : NULL));
        wait(&status);
        if (WIFSIGNALED(status))
            printf("FAIL %s: it %s\n", program, WTERMSIG(status) == SIGALRM ? "hangs" : "crashes");
        counts[WIFEXITED(status) ? WEXITSTATUS(status) & 3 : FAILED]++;
    }
    printf("%zu passed, %zu failed, %zu undecided, %zu not run\n", counts[0], counts[1], counts[2], counts[3]);
    return counts[FAILED] > 0;
}
