//! A host for the adapter's real ABI: the imports that Envoy offers, with scripted answers and
//! faults. One host per thread, as one VM per worker.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use everycall_filter::METRICS;

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

fn fault(name: &'static str) -> Option<u32> {
    host(|host| host.faults.get(name).copied())
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

// The imports.

#[no_mangle]
unsafe extern "C" fn proxy_log(level: u32, message: *const u8, size: usize) -> u32 {
    let message = text(message, size);
    host(|host| host.log.push((level, message)));
    fault("log").unwrap_or(OK)
}

#[no_mangle]
unsafe extern "C" fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32 {
    if let Some(status) = fault("time") {
        return status;
    }
    *time = host(|host| {
        host.nanos += 1_000;
        host.nanos
    });
    OK
}

#[no_mangle]
extern "C" fn proxy_set_tick_period_milliseconds(period: u32) -> u32 {
    fault("tick").unwrap_or_else(|| {
        host(|host| host.tick_period = period);
        OK
    })
}

#[no_mangle]
unsafe extern "C" fn proxy_get_buffer_bytes(
    buffer: u32,
    start: usize,
    max: usize,
    data: *mut *mut u8,
    size: *mut usize,
) -> u32 {
    let value = match buffer {
        4 => match fault("call_body") {
            Some(status) => return status,
            None => host(|host| host.call_body.clone()),
        },
        7 => match fault("configuration") {
            Some(status) => return status,
            None => host(|host| host.configuration.clone()),
        },
        _ => return BAD_ARGUMENT,
    };
    let end = value.len().min(start.saturating_add(max));
    give(&value[start.min(end)..end], data, size)
}

#[no_mangle]
unsafe extern "C" fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32 {
    let (name, pairs) = match map {
        0 => ("headers", host(|host| host.request_headers.clone())),
        6 => ("call_headers", host(|host| host.call_headers.clone())),
        7 => ("call_trailers", host(|host| host.call_trailers.clone())),
        _ => return BAD_ARGUMENT,
    };
    match fault(name) {
        Some(status) => status,
        None => give(&encode(&pairs), data, size),
    }
}

#[no_mangle]
unsafe extern "C" fn proxy_replace_header_map_value(
    map: u32,
    name: *const u8,
    name_size: usize,
    value: *const u8,
    size: usize,
) -> u32 {
    if let Some(status) = fault("set_header") {
        return status;
    }
    let (name, value) = (text(name, name_size), bytes(value, size).to_vec());
    change(map, |headers| {
        headers.retain(|(other, _)| *other != name);
        headers.push((name, value));
    })
}

/// Changes the headers of a message, if they are reachable now.
fn change(map: u32, f: impl FnOnce(&mut Pairs)) -> u32 {
    host(|host| {
        let headers = match map {
            0 if host.response_headers.is_none() => Some(&mut host.request_headers),
            2 => host.response_headers.as_mut(),
            _ => None,
        };
        match headers {
            Some(headers) => f(headers),
            None => return BAD_ARGUMENT,
        }
        OK
    })
}

#[no_mangle]
unsafe extern "C" fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32 {
    if let Some(status) = fault("remove_header") {
        return status;
    }
    let name = text(name, name_size);
    change(map, |headers| headers.retain(|(other, _)| *other != name))
}

#[no_mangle]
unsafe extern "C" fn proxy_get_property(
    path: *const u8,
    path_size: usize,
    data: *mut *mut u8,
    size: *mut usize,
) -> u32 {
    let path = text(path, path_size).replace('\0', ".");
    if let Some(status) = fault("property") {
        return status;
    }
    let value = host(|host| {
        host.properties_read.insert(path.clone());
        host.properties.get(&path).cloned()
    });
    match value {
        Some(value) => give(&value, data, size),
        None => NOT_FOUND,
    }
}

#[no_mangle]
unsafe extern "C" fn proxy_set_property(
    path: *const u8,
    path_size: usize,
    data: *const u8,
    size: usize,
) -> u32 {
    if let Some(status) = fault("filter_state") {
        return status;
    }
    let (path, value) = (text(path, path_size), text(data, size));
    host(|host| host.filter_state.insert(path, value));
    OK
}

#[no_mangle]
unsafe extern "C" fn proxy_get_shared_data(
    key: *const u8,
    key_size: usize,
    data: *mut *mut u8,
    size: *mut usize,
    cas: *mut u32,
) -> u32 {
    if let Some(status) = fault("shared") {
        return status;
    }
    let key = text(key, key_size);
    match host(|host| host.shared.get(&key).cloned()) {
        None => NOT_FOUND,
        Some((value, version)) => {
            *cas = version;
            give(&value, data, size)
        }
    }
}

#[no_mangle]
unsafe extern "C" fn proxy_set_shared_data(
    key: *const u8,
    key_size: usize,
    data: *const u8,
    size: usize,
    cas: u32,
) -> u32 {
    if let Some(status) = fault("shared") {
        return status;
    }
    let (key, value) = (text(key, key_size), bytes(data, size).to_vec());
    host(|host| {
        if host.shared.get(&key).is_some_and(|(_, version)| cas != 0 && cas != *version) {
            return CAS_MISMATCH;
        }
        host.cas += 1;
        let version = host.cas;
        host.shared.insert(key, (value, version));
        OK
    })
}

#[no_mangle]
extern "C" fn proxy_continue_stream(_stream: u32) -> u32 {
    if let Some(status) = fault("resume") {
        return status;
    }
    host(|host| {
        host.resumed += 1;
        host.resumed_in = host.effective;
    });
    OK
}

#[no_mangle]
extern "C" fn proxy_close_stream(_stream: u32) -> u32 {
    if let Some(status) = fault("close") {
        return status;
    }
    host(|host| host.closed.push(host.effective));
    OK
}

#[no_mangle]
unsafe extern "C" fn proxy_send_local_response(
    status: u32,
    details: *const u8,
    details_size: usize,
    body: *const u8,
    body_size: usize,
    headers: *const u8,
    headers_size: usize,
    _grpc_status: i32,
) -> u32 {
    if let Some(status) = fault("respond") {
        return status;
    }
    let response = LocalResponse {
        context: host(|host| host.effective),
        status,
        details: text(details, details_size),
        headers: decode(bytes(headers, headers_size)),
        body: bytes(body, body_size).to_vec(),
    };
    host(|host| host.responses.push(response));
    OK
}

#[no_mangle]
unsafe extern "C" fn proxy_http_call(
    cluster: *const u8,
    cluster_size: usize,
    headers: *const u8,
    headers_size: usize,
    body: *const u8,
    body_size: usize,
    _trailers: *const u8,
    _trailers_size: usize,
    timeout_ms: u32,
    token: *mut u32,
) -> u32 {
    if let Some(status) = fault("http_call") {
        return status;
    }
    let (cluster, headers, body) =
        (text(cluster, cluster_size), decode(bytes(headers, headers_size)), bytes(body, body_size).to_vec());
    *token = host(|host| {
        host.next_token += 4;
        let token = host.next_token;
        host.callouts.push(Callout { token, cluster, headers, body, timeout_ms });
        token
    });
    OK
}

#[no_mangle]
unsafe extern "C" fn proxy_call_foreign_function(
    name: *const u8,
    name_size: usize,
    _arguments: *const u8,
    _arguments_size: usize,
    data: *mut *mut u8,
    size: *mut usize,
) -> u32 {
    assert_eq!(text(name, name_size), "verify_signature");
    match host(|host| host.crypto) {
        Crypto::Absent => NOT_FOUND,
        Crypto::Fails => INTERNAL_FAILURE,
        Crypto::SaysYes => give(&[0x08, 0x01], data, size),
        Crypto::SaysNo => give(&[], data, size),
    }
}

/// What the host is told of a metric is what its row says.
fn check_metric(kind: u32, name: &str) {
    let (name, labels) = name.split_once(';').unwrap_or((name, ""));
    let row = METRICS.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no row of `{name}`"));
    assert_eq!(["counter", "gauge", "histogram"][kind as usize], row.kind, "{name}");
    let told = labels.split(';').map(|label| label.split('=').next().unwrap());
    let (told, known): (BTreeSet<&str>, BTreeSet<&str>) =
        (told.collect(), row.labels.iter().copied().collect());
    assert_eq!(told, known, "the labels of {name}");
}

#[no_mangle]
unsafe extern "C" fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32 {
    if let Some(status) = fault("metric") {
        return status;
    }
    let name = text(name, name_size);
    check_metric(kind, &name);
    *id = host(|host| {
        host.metric_names.push(name);
        host.metric_names.len() as u32
    });
    OK
}

#[no_mangle]
extern "C" fn proxy_increment_metric(id: u32, offset: i64) -> u32 {
    host(|host| {
        let name = host.metric_names[id as usize - 1].clone();
        *host.metrics.entry(name).or_default() += offset;
    });
    OK
}

#[no_mangle]
extern "C" fn proxy_record_metric(id: u32, value: u64) -> u32 {
    host(|host| {
        let name = host.metric_names[id as usize - 1].clone();
        host.metrics.insert(name, value as i64);
    });
    OK
}

#[no_mangle]
extern "C" fn proxy_set_effective_context(context: u32) -> u32 {
    // The SDK sets the context that a reply is for, and gives up if it can't.
    if host(|host| host.faults_after_context && host.effective != context && context != 1) {
        return BAD_ARGUMENT;
    }
    host(|host| host.effective = context);
    OK
}

/// Imports that the SDK links and the adapter must not use.
macro_rules! unused {
    ($($name:ident)+) => { $(
        #[no_mangle]
        extern "C" fn $name() -> u32 { std::process::abort() }
    )+ };
}

unused! {
    proxy_get_log_level proxy_set_buffer_bytes proxy_set_header_map_pairs proxy_get_header_map_value
    proxy_add_header_map_value proxy_register_shared_queue proxy_resolve_shared_queue
    proxy_dequeue_shared_queue proxy_enqueue_shared_queue proxy_grpc_call
    proxy_grpc_stream proxy_grpc_send proxy_grpc_cancel proxy_grpc_close proxy_get_status proxy_done
    proxy_get_metric
}
