// SPDX-License-Identifier: Apache-2.0
//! A target as a process, in Rust, without any crate: an allocator of pages, slabs and caches over a vector
//! of bytes, whose indices are the addresses. spec/script.md has the format.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead, Write};

const PAGE: usize = 4096;
const MAX_ORDER: u32 = 10;
const BASE: usize = PAGE << MAX_ORDER; // the first address, aligned as the largest block is
const PAGES: usize = 1 << 14;
const ZERO: usize = 0x100; // __GFP_ZERO
const HWCACHE_ALIGN: usize = 0x2000;
const ZERO_SIZE_PTR: usize = 16;
const CLASSES: usize = 9; // kmalloc's caches, of 8 to 2048 bytes

/// Blocks of pages by order: the smallest that is enough is split, buddies are merged.
struct Buddy {
    free: [BTreeSet<usize>; MAX_ORDER as usize + 1],
}

impl Buddy {
    fn new() -> Self {
        let mut buddy = Buddy { free: Default::default() };
        buddy.free[MAX_ORDER as usize] = (0..PAGES).step_by(1 << MAX_ORDER).map(|page| BASE + page * PAGE).collect();
        buddy
    }

    fn take(&mut self, order: u32) -> usize {
        let found = (order..=MAX_ORDER).find(|&enough| !self.free[enough as usize].is_empty());
        let Some(enough) = found else { return 0 };
        let start = self.free[enough as usize].pop_first().unwrap();
        for half in order..enough {
            self.free[half as usize].insert(start + (PAGE << half));
        }
        start
    }

    fn give_back(&mut self, mut start: usize, mut order: u32) {
        while order < MAX_ORDER && self.free[order as usize].remove(&(start ^ (PAGE << order))) {
            start &= !(PAGE << order);
            order += 1;
        }
        self.free[order as usize].insert(start);
    }
}

/// A cache: the bytes of an object and of its slot, the slabs with room, what its constructor writes.
struct Cache {
    size: usize,
    slot: usize,
    order: u32,
    room: BTreeSet<usize>,
    slabs: BTreeSet<usize>,
    constructor: Option<(usize, Vec<u8>)>,
}

impl Cache {
    fn new(size: usize, align: usize, constructor: Option<(usize, Vec<u8>)>) -> Self {
        let slot = size.max(1).next_multiple_of(align.max(8));
        let order = order_of(slot.max(align));
        Cache { size, slot, order, room: BTreeSet::new(), slabs: BTreeSet::new(), constructor }
    }
}

struct Slab {
    cache: usize,
    free: Vec<usize>,
    live: usize,
}

fn order_of(size: usize) -> u32 {
    size.div_ceil(PAGE).next_power_of_two().trailing_zeros()
}

/// The allocator. `owners` has the slab of each page of a slab, `large` the order of each large object.
struct Kernel {
    memory: Vec<u8>,
    buddy: Buddy,
    caches: HashMap<usize, Cache>,
    owners: HashMap<usize, usize>,
    slabs: HashMap<usize, Slab>,
    large: HashMap<usize, u32>,
    next_cache: usize,
}

impl Kernel {
    fn new() -> Self {
        let caches = (1..=CLASSES).map(|class| (class, Cache::new(4 << class, 4 << class, None))).collect();
        Kernel {
            memory: vec![0xAA; PAGES * PAGE],
            buddy: Buddy::new(),
            caches,
            owners: HashMap::new(),
            slabs: HashMap::new(),
            large: HashMap::new(),
            next_cache: BASE,
        }
    }

    fn bytes(&mut self, start: usize, length: usize) -> Option<&mut [u8]> {
        let from = start.checked_sub(BASE)?;
        self.memory.get_mut(from..from.checked_add(length)?)
    }

    fn clear_if(&mut self, gfp: usize, start: usize, length: usize) -> usize {
        if start != 0 && gfp & ZERO != 0 {
            self.bytes(start, length).unwrap().fill(0);
        }
        start
    }

    fn pages(&mut self, gfp: usize, order: usize) -> usize {
        if order > MAX_ORDER as usize {
            return 0;
        }
        let start = self.buddy.take(order as u32);
        self.clear_if(gfp, start, PAGE << order)
    }

    fn cache_alloc(&mut self, handle: usize, gfp: usize, out: &mut impl Write) -> usize {
        let room = self.caches[&handle].room.first().copied();
        let Some(base) = room.or_else(|| self.grow(handle, out)) else { return 0 };
        let slab = self.slabs.get_mut(&base).unwrap();
        let start = slab.free.pop().unwrap();
        slab.live += 1;
        let cache = self.caches.get_mut(&handle).unwrap();
        if slab.free.is_empty() {
            cache.room.remove(&base);
        }
        let size = cache.size;
        self.clear_if(gfp, start, size)
    }

    fn grow(&mut self, handle: usize, out: &mut impl Write) -> Option<usize> {
        let (order, slot) = (self.caches[&handle].order, self.caches[&handle].slot);
        let base = self.buddy.take(order);
        if base == 0 {
            return None;
        }
        let free: Vec<usize> = (0..(PAGE << order) / slot).map(|at| base + at * slot).collect();
        let cache = self.caches.get_mut(&handle).unwrap();
        if let Some((id, pattern)) = &cache.constructor {
            for &start in &free {
                let object = &mut self.memory[start - BASE..start - BASE + cache.size];
                object.iter_mut().zip(pattern.iter().cycle()).for_each(|(byte, &due)| *byte = due);
                writeln!(out, "{{\"ran\":[{id},\"{start:#x}\"]}}").unwrap();
            }
        }
        cache.room.insert(base);
        cache.slabs.insert(base);
        self.slabs.insert(base, Slab { cache: handle, free, live: 0 });
        self.owners.extend((0..1 << order).map(|page| (base + page * PAGE, base)));
        Some(base)
    }

    fn cache_free(&mut self, start: usize) {
        let Some(&base) = self.owners.get(&(start & !(PAGE - 1))) else { return };
        let slab = self.slabs.get_mut(&base).unwrap();
        slab.free.push(start);
        slab.live -= 1;
        let (cache, live) = (slab.cache, slab.live);
        self.caches.get_mut(&cache).unwrap().room.insert(base);
        if live == 0 {
            self.drop_slab(cache, base);
        }
    }

    fn drop_slab(&mut self, handle: usize, base: usize) {
        let cache = self.caches.get_mut(&handle).unwrap();
        cache.room.remove(&base);
        cache.slabs.remove(&base);
        let order = cache.order;
        self.slabs.remove(&base);
        for page in 0..1 << order {
            self.owners.remove(&(base + page * PAGE));
        }
        self.buddy.give_back(base, order);
    }

    fn create(&mut self, size: usize, align: usize, flags: usize, ctor: Option<(usize, Vec<u8>)>) -> usize {
        if size == 0 || size.max(align) > BASE {
            return 0;
        }
        let align = if flags & HWCACHE_ALIGN != 0 { align.max(64) } else { align };
        self.next_cache += 1;
        self.caches.insert(self.next_cache, Cache::new(size, align, ctor));
        self.next_cache
    }

    fn destroy(&mut self, handle: usize) {
        let Some(cache) = self.caches.get(&handle) else { return };
        for base in cache.slabs.clone() {
            self.drop_slab(handle, base);
        }
        self.caches.remove(&handle);
    }

    fn kmalloc(&mut self, size: usize, gfp: usize, out: &mut impl Write) -> usize {
        if size == 0 {
            return ZERO_SIZE_PTR;
        }
        if size <= 4 << CLASSES {
            let class = size.next_power_of_two().max(8).trailing_zeros() as usize - 2;
            return self.cache_alloc(class, gfp, out);
        }
        if size > BASE {
            return 0;
        }
        let start = self.pages(gfp, order_of(size) as usize);
        if start != 0 {
            self.large.insert(start, order_of(size));
        }
        start
    }

    fn kfree(&mut self, start: usize) {
        match self.large.remove(&start) {
            Some(order) => self.buddy.give_back(start, order),
            None => self.cache_free(start),
        }
    }

    fn ksize(&self, start: usize) -> usize {
        let slab = self.owners.get(&(start & !(PAGE - 1))).map(|base| &self.slabs[base]);
        let large = self.large.get(&start).map(|order| PAGE << order);
        large.or(slab.map(|slab| self.caches[&slab.cache].slot)).unwrap_or(0)
    }

    fn krealloc(&mut self, old: usize, size: usize, gfp: usize, out: &mut impl Write) -> usize {
        let had = self.ksize(old);
        if had == 0 || size == 0 {
            self.kfree(old);
            return self.kmalloc(size, gfp, out);
        }
        if size <= had && size > had / 2 {
            self.clear_if(gfp, old + size, had - size);
            return old;
        }
        let new = self.kmalloc(size, gfp, out);
        if new != 0 {
            self.memory.copy_within(old - BASE..old - BASE + had.min(size), new - BASE);
            self.kfree(old);
        }
        new
    }
}

/// Read a request, whose form is fixed: {"call":"NAME","args":[…]}, without spaces.
fn parse(line: &str) -> Option<(&str, Vec<&str>)> {
    let (call, rest) = line.strip_prefix("{\"call\":\"")?.split_once("\",\"args\":[")?;
    let mut rest = rest.trim_end().strip_suffix("]}")?;
    let mut args = Vec::new();
    while !rest.is_empty() {
        let end = match rest.starts_with('{') {
            true => rest.find('}')? + 1,
            false => rest.find(',').unwrap_or(rest.len()),
        };
        args.push(&rest[..end]);
        rest = rest[end..].strip_prefix(',').unwrap_or(&rest[end..]);
    }
    Some((call, args))
}

fn number(text: &str) -> usize {
    let digits = text.trim_matches('"');
    match digits.strip_prefix("0x") {
        Some(hex) => usize::from_str_radix(hex, 16).unwrap(),
        None => digits.parse().unwrap(),
    }
}

fn bytes_of(text: &str) -> Vec<u8> {
    let hex = text.trim_matches('"');
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Return bytes that are to be repeated over so many: as they are, or already repeated up to a page and more.
fn repeated(text: &str, length: usize) -> Vec<u8> {
    let data = bytes_of(text);
    data.repeat(if length > data.len() { PAGE / data.len() + 1 } else { 1 })
}

/// Return the number of a constructor and what it writes: null, or {"id":1,"bytes":"…"}.
fn hook_of(text: &str) -> Option<(usize, Vec<u8>)> {
    let (id, bytes) = text.strip_prefix("{\"id\":")?.split_once(",\"bytes\":")?;
    Some((number(id), bytes_of(bytes.strip_suffix('}')?)))
}

const CALLS: &[&str] = &[
    "kmalloc", "kzalloc", "krealloc", "kfree", "ksize", "__get_free_pages", "get_zeroed_page", "free_pages",
    "kmem_cache_create", "kmem_cache_alloc", "kmem_cache_zalloc", "kmem_cache_free", "kmem_cache_size",
    "kmem_cache_destroy", "read", "write", "compare",
];

/// Make a call; return the result as JSON.
fn serve(kernel: &mut Kernel, call: &str, args: &[&str], out: &mut impl Write) -> Result<String, &'static str> {
    let n = |at: usize| number(args[at]);
    let address = |start: usize| Ok(format!("\"{start:#x}\""));
    let nothing = |()| Ok("null".to_string());
    match call {
        "kmalloc" => address(kernel.kmalloc(n(0), n(1), out)),
        "kzalloc" => address(kernel.kmalloc(n(0), n(1) | ZERO, out)),
        "krealloc" => address(kernel.krealloc(n(0), n(1), n(2), out)),
        "kfree" => nothing(kernel.kfree(n(0))),
        "ksize" => Ok(kernel.ksize(n(0)).to_string()),
        "__get_free_pages" => address(kernel.pages(n(0), n(1))),
        "get_zeroed_page" => address(kernel.pages(n(0) | ZERO, 0)),
        "free_pages" if n(0) == 0 => nothing(()),
        "free_pages" => nothing(kernel.buddy.give_back(n(0), n(1) as u32)),
        "kmem_cache_create" => address(kernel.create(n(1), n(2), n(3), hook_of(args[4]))),
        "kmem_cache_alloc" => address(kernel.cache_alloc(n(0), n(1), out)),
        "kmem_cache_zalloc" => address(kernel.cache_alloc(n(0), n(1) | ZERO, out)),
        "kmem_cache_free" => nothing(kernel.cache_free(n(1))),
        "kmem_cache_size" => Ok(kernel.caches[&n(0)].size.to_string()),
        "kmem_cache_destroy" => nothing(kernel.destroy(n(0))),
        "read" => {
            let bytes = kernel.bytes(n(0), n(1)).ok_or("no memory")?;
            Ok(format!("\"{}\"", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
        }
        "write" => {
            let data = repeated(args[2], n(1));
            let bytes = kernel.bytes(n(0), n(1)).ok_or("no memory")?;
            bytes.chunks_mut(data.len()).for_each(|part| part.copy_from_slice(&data[..part.len()]));
            nothing(())
        }
        "compare" => {
            let data = repeated(args[2], n(1));
            let bytes = kernel.bytes(n(0), n(1)).ok_or("no memory")?;
            let part = bytes.chunks(data.len()).position(|part| part != &data[..part.len()]);
            Ok(part.map_or("-1".to_string(), |part| {
                let rest = bytes[part * data.len()..].iter().zip(&data);
                (part * data.len() + rest.take_while(|(byte, due)| byte == due).count()).to_string()
            }))
        }
        _ => Err("unknown call"),
    }
}

fn main() {
    let mut kernel = Kernel::new();
    let mut out = io::BufWriter::new(io::stdout().lock());
    writeln!(out, "{{\"kmem-oracle\":1,\"calls\":{CALLS:?}}}").unwrap();
    out.flush().unwrap();
    for line in io::stdin().lock().lines() {
        let line = line.unwrap();
        let (call, args) = parse(&line).expect("a request");
        match serve(&mut kernel, call, &args, &mut out) {
            Ok(result) => writeln!(out, "{{\"result\":{result}}}").unwrap(),
            Err(why) => writeln!(out, "{{\"error\":\"{why}\"}}").unwrap(),
        }
        out.flush().unwrap();
    }
}
