//! A host for the adapter's real ABI: the imports that Envoy offers, with scripted answers and
//! faults. One host per thread, as one VM per worker.

mod imports;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

pub const OK: u32 = 0;
pub const NOT_FOUND: u32 = 1;
pub const BAD_ARGUMENT: u32 = 2;
pub const CAS_MISMATCH: u32 = 8;
pub const INTERNAL_FAILURE: u32 = 10;

pub type Pairs = Vec<(String, Vec<u8>)>;

/// A callout that the adapter made.
#[derive(Debug, Clone)]
pub struct Callout {
    pub token: u32,
    pub cluster: String,
    pub headers: Pairs,
    pub body: Vec<u8>,
    pub timeout_ms: u32,
}

/// An answer that the adapter sent.
#[derive(Debug, Clone)]
pub struct LocalResponse {
    /// The context in which it was sent.
    pub context: u32,
    pub status: u32,
    pub details: String,
    pub headers: Pairs,
    pub body: Vec<u8>,
}

/// How the host's signature verification behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Crypto {
    /// There is none, as in hosts other than Envoy.
    #[default]
    Absent,
    /// It fails, whatever the signature.
    Fails,
    /// It says yes to everything: shows that its answer is what counts.
    SaysYes,
    /// It says no to everything.
    SaysNo,
}

/// Everything the host knows and did.
#[derive(Debug, Default)]
pub struct Host {
    pub configuration: Vec<u8>,
    pub request_headers: Pairs,
    /// Those of the response; reachable in their callback only.
    pub response_headers: Option<Pairs>,
    pub properties: BTreeMap<String, Vec<u8>>,
    pub nanos: u64,
    /// Import name to the status it answers instead of working.
    pub faults: BTreeMap<&'static str, u32>,
    pub crypto: Crypto,
    pub call_headers: Pairs,
    pub call_body: Vec<u8>,
    pub call_trailers: Pairs,
    // What the adapter did.
    pub callouts: Vec<Callout>,
    pub responses: Vec<LocalResponse>,
    pub resumed: u32,
    /// Contexts whose streams were closed without a word.
    pub closed: Vec<u32>,
    /// The context in which calls are made, where it was changed, and that of the last resume.
    pub effective: u32,
    pub resumed_in: u32,
    /// No context but the root's can be set.
    pub faults_after_context: bool,
    pub log: Vec<(u32, String)>,
    /// Milliseconds between ticks.
    pub tick_period: u32,
    pub metrics: BTreeMap<String, i64>,
    metric_names: Vec<String>,
    pub filter_state: BTreeMap<String, String>,
    pub properties_read: BTreeSet<String>,
    shared: BTreeMap<String, (Vec<u8>, u32)>,
    cas: u32,
    next_token: u32,
}

impl Host {
    /// Writes these bytes over every shared entry.
    pub fn overwrite_shared(&mut self, bytes: &[u8]) {
        self.shared.values_mut().for_each(|(value, _)| *value = bytes.to_vec());
    }
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::new(Host { nanos: 1_800_000_000_000_000_000, ..Host::default() });
}

/// Looks at the host, or changes it.
pub fn host<T>(f: impl FnOnce(&mut Host) -> T) -> T {
    HOST.with_borrow_mut(f)
}

unsafe fn bytes<'a>(data: *const u8, size: usize) -> &'a [u8] {
    if data.is_null() {
        return &[];
    }
    std::slice::from_raw_parts(data, size)
}

unsafe fn text(data: *const u8, size: usize) -> String {
    String::from_utf8(bytes(data, size).to_vec()).expect("the adapter passes UTF-8 names")
}

unsafe fn give(value: &[u8], data: *mut *mut u8, size: *mut usize) -> u32 {
    let buffer = proxy_on_memory_allocate(value.len());
    std::ptr::copy_nonoverlapping(value.as_ptr(), buffer, value.len());
    *data = buffer;
    *size = value.len();
    OK
}

fn decode(map: &[u8]) -> Pairs {
    let number = |at: usize| u32::from_le_bytes(map[at..at + 4].try_into().unwrap()) as usize;
    if map.is_empty() {
        return Vec::new();
    }
    let count = number(0);
    let mut at = 4 + count * 8;
    let mut take = |size: usize| {
        let text = map[at..at + size].to_vec();
        at += size + 1;
        text
    };
    (0..count)
        .map(|i| {
            let name = take(number(4 + i * 8));
            let value = take(number(8 + i * 8));
            (String::from_utf8(name).unwrap(), value)
        })
        .collect()
}

fn encode(pairs: &Pairs) -> Vec<u8> {
    let mut out = (pairs.len() as u32).to_le_bytes().to_vec();
    for (name, value) in pairs {
        out.extend((name.len() as u32).to_le_bytes());
        out.extend((value.len() as u32).to_le_bytes());
    }
    for (name, value) in pairs {
        out.extend(name.as_bytes());
        out.push(0);
        out.extend(value);
        out.push(0);
    }
    out
}

// The module's exports, as the host calls them.
extern "C" {
    fn proxy_on_memory_allocate(size: usize) -> *mut u8;
    pub fn _initialize();
    pub fn proxy_on_context_create(context: u32, root: u32);
    pub fn proxy_on_vm_start(context: u32, size: usize) -> bool;
    pub fn proxy_on_configure(context: u32, size: usize) -> bool;
    pub fn proxy_on_tick(context: u32);
    pub fn proxy_on_request_headers(context: u32, count: usize, end_of_stream: bool) -> u32;
    pub fn proxy_on_request_body(context: u32, size: usize, end_of_stream: bool) -> u32;
    pub fn proxy_on_request_trailers(context: u32, count: usize) -> u32;
    pub fn proxy_on_response_headers(context: u32, count: usize, end_of_stream: bool) -> u32;
    pub fn proxy_on_http_call_response(
        context: u32,
        token: u32,
        headers: usize,
        body: usize,
        trailers: usize,
    );
    pub fn proxy_on_done(context: u32) -> bool;
    pub fn proxy_on_log(context: u32);
    pub fn proxy_on_delete(context: u32);
}
