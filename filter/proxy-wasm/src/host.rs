//! The host's functions, as safe ones that never panic.
//!
//! The SDK's wrappers panic on a status they don't expect and on header values that are not UTF-8,
//! and a panic is an outage of the whole worker. So all raw imports are called here, bytes only, and
//! nowhere else, which is why it is long. Callouts alone go through the SDK, which has to know whose
//! reply it delivers.
#![allow(unsafe_code)] // INVARIANT: every unsafe block below calls one import with live buffers

use std::cell::Cell;
use std::ptr::null_mut;
use std::time::Duration;

use everycall_core::http::Failure;
use everycall_core::{Call, Headers, Record, Reply, UnixTime};

/// What the host answers when a call did not work (proxy-wasm ABI 0.2.1, `proxy_status_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Error {
    /// What was asked for is not there; for a foreign function: the host has none of this name.
    NotFound,
    /// A shared entry has changed since it was read.
    Changed,
    /// Anything else.
    Failed,
}

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const CAS_MISMATCH: u32 = 8;

/// Header maps (`proxy_header_map_type_t`).
const REQUEST_HEADERS: u32 = 0;
const REQUEST_TRAILERS: u32 = 1;
const RESPONSE_HEADERS: u32 = 2;
const CALL_RESPONSE_HEADERS: u32 = 6;
const CALL_RESPONSE_TRAILERS: u32 = 7;
/// Buffers (`proxy_buffer_type_t`).
const CALL_RESPONSE_BODY: u32 = 4;
const PLUGIN_CONFIGURATION: u32 = 7;
/// Streams (`proxy_stream_type_t`).
const HTTP_REQUEST: u32 = 0;

/// Kinds of metrics (`proxy_metric_type_t`).
#[derive(Debug, Clone, Copy)]
pub(crate) enum MetricKind {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

impl MetricKind {
    pub(crate) const fn is_gauge(self) -> bool {
        matches!(self, Self::Gauge)
    }

    /// For people.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

#[link(wasm_import_module = "env")]
extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, data: *const u8, size: usize) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(key: *const u8, key_size: usize, data: *const u8, size: usize, cas: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_close_stream(stream: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        arguments: *const u8,
        arguments_size: usize,
        results: *mut *mut u8,
        results_size: *mut usize,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
}

fn check(status: u32) -> Result<(), Error> {
    match status {
        OK => Ok(()),
        NOT_FOUND => Err(Error::NotFound),
        CAS_MISMATCH => Err(Error::Changed),
        _ => Err(Error::Failed),
    }
}

/// Takes a buffer that the host allocated through the module's `malloc`; a null one is empty.
fn taken(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, Error> {
    let (mut data, mut size) = (null_mut(), 0usize);
    check(call(&mut data, &mut size))?;
    if data.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: the SDK's allocator made it as a boxed slice of exactly `size` bytes.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// The proxy's log behind the `log` crate. (The SDK's logger panics if the host refuses a line.)
struct ProxyLog;

impl log::Log for ProxyLog {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        // `proxy_log_level_t`
        let level = match record.level() {
            log::Level::Trace => 0,
            log::Level::Debug => 1,
            log::Level::Info => 2,
            log::Level::Warn => 3,
            log::Level::Error => 4,
        };
        let message = format!("everycall: {}", record.args());
        // A log that can't be written can't be reported either.
        let _ = unsafe { proxy_log(level, message.as_ptr(), message.len()) };
    }

    fn flush(&self) {}
}

/// Writes a record to the proxy's log, as one line; at the level `info`.
pub(crate) fn write_record(record: Record) {
    const INFO: u32 = 2;
    let line = match record.into_line() {
        Ok(line) => line,
        Err(error) => return log::error!("a record can't be written: {error}"),
    };
    // As above.
    let _ = unsafe { proxy_log(INFO, line.as_ptr(), line.len()) };
}

/// Sends log lines to the proxy, and the place of a panic before the VM traps.
pub(crate) fn init_log() {
    // An error means that it is set already: statics are shared by all configurations in a VM.
    let _ = log::set_logger(&ProxyLog);
    log::set_max_level(log::LevelFilter::Info);
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|info| log::error!("{info}")));
}

thread_local! {
    /// What the clock told last.
    static LAST_TOLD: Cell<UnixTime> = const { Cell::new(UnixTime::from_micros(0)) };
}

/// The wall clock. Without one nothing is decided, for validity is a question of time: requests are
/// refused, ticks leave their work to the next one, and open streams are asked about again.
pub(crate) fn now() -> Result<UnixTime, Error> {
    let mut nanos = 0u64;
    let status = unsafe { proxy_get_current_time_nanoseconds(&mut nanos) };
    check(status)?;
    let now = UnixTime::from_micros(i64::try_from(nanos / 1_000).unwrap_or(i64::MAX));
    LAST_TOLD.set(now);
    Ok(now)
}

/// The time of what has happened with or without a clock, such as the end of a stream: the last that
/// was told. Another one would look like a clock that was set. Nothing is decided by it.
pub(crate) fn now_or_last_told() -> UnixTime {
    now().unwrap_or_else(|_| LAST_TOLD.get())
}

/// Whether there will be ticks.
pub(crate) fn set_tick_period(period: Duration) -> bool {
    let millis = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    let set = check(unsafe { proxy_set_tick_period_milliseconds(millis) }).is_ok();
    if !set {
        log::error!("the host offers no ticks: records and gauges stay unwritten");
    }
    set
}

/// The configuration as the proxy delivers it.
pub(crate) fn plugin_configuration() -> Result<Vec<u8>, Error> {
    taken(|data, size| unsafe {
        proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, usize::MAX >> 1, data, size)
    })
}

/// How large the parts of a callout's reply are, as the host announces it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplySize {
    pub(crate) headers: usize,
    pub(crate) body: usize,
    pub(crate) trailers: usize,
}

/// The callout's reply that is being delivered.
pub(crate) fn call_reply(size: ReplySize, max_body: usize) -> Reply {
    // No headers: the reply broke off. The host's header map is not there to be read then.
    if size.headers == 0 {
        return Reply::Failed(Failure::Unavailable);
    }
    if size.body > max_body {
        return Reply::Failed(Failure::TooLarge);
    }
    let headers = header_map(CALL_RESPONSE_HEADERS).unwrap_or_default();
    let status = headers.only(":status").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    let trailers = match size.trailers {
        0 => Ok(Headers::default()),
        _ => header_map(CALL_RESPONSE_TRAILERS),
    };
    let body = match size.body {
        0 => Ok(Vec::new()),
        size => taken(|data, end| unsafe { proxy_get_buffer_bytes(CALL_RESPONSE_BODY, 0, size, data, end) }),
    };
    match (status, body, trailers) {
        (Some(status), Ok(body), Ok(trailers)) => Reply::Http { status, headers, body, trailers },
        _ => Reply::Failed(Failure::Unavailable),
    }
}

/// The request's headers. Readable until the request goes on.
pub(crate) fn request_headers() -> Result<Headers, Error> {
    header_map(REQUEST_HEADERS)
}

/// The request's trailers, in their callback only.
pub(crate) fn request_trailers() -> Result<Headers, Error> {
    header_map(REQUEST_TRAILERS)
}

fn header_map(map: u32) -> Result<Headers, Error> {
    let bytes = taken(|data, size| unsafe { proxy_get_header_map_pairs(map, data, size) })?;
    decode_map(&bytes).ok_or(Error::Failed)
}

/// A map on the wire: count, then the sizes of all names and values, then the texts, each with a
/// NUL behind it. `None` if it is cut short or a name is not UTF-8.
fn decode_map(bytes: &[u8]) -> Option<Headers> {
    if bytes.is_empty() {
        return Some(Headers::default());
    }
    let number = |at: usize| -> Option<usize> {
        let bytes = bytes.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let count = number(0)?;
    let mut at = count.checked_mul(8)?.checked_add(4)?;
    let mut text = |size: usize| -> Option<&[u8]> {
        let end = at.checked_add(size)?;
        let text = bytes.get(at..end)?;
        at = end.checked_add(1)?;
        Some(text)
    };
    let mut headers = Headers::with_capacity(count.min(1024), bytes.len());
    for index in 0..count {
        let sizes = index.checked_mul(8)?.checked_add(4)?;
        let name = text(number(sizes)?)?;
        let value = text(number(sizes.checked_add(4)?)?)?;
        headers.push(std::str::from_utf8(name).ok()?, value);
    }
    Some(headers)
}

fn encode_map(pairs: &[(&str, &str)]) -> Vec<u8> {
    let size = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&u32::try_from(pairs.len()).unwrap_or(u32::MAX).to_le_bytes());
    for (name, value) in pairs {
        bytes.extend_from_slice(&size(name));
        bytes.extend_from_slice(&size(value));
    }
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    }
    bytes
}

/// The fields of a message whose callback runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Message {
    /// Until the request goes on.
    Request = REQUEST_HEADERS as isize,
    /// In their callback only.
    RequestTrailers = REQUEST_TRAILERS as isize,
    /// In the callback for the response's headers only.
    Response = RESPONSE_HEADERS as isize,
}

/// Removes all headers of these names, then sets these, each replacing all of its name.
pub(crate) fn change_headers<'a>(
    message: Message,
    mut remove: impl Iterator<Item = &'a str>,
    mut set: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Error> {
    let map = message as u32;
    remove.try_for_each(|name| {
        check(unsafe { proxy_remove_header_map_value(map, name.as_ptr(), name.len()) })
    })?;
    set.try_for_each(|(name, value)| {
        check(unsafe {
            proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
        })
    })
}

/// One attribute; an error if it is absent.
pub(crate) fn property(path: &[&str]) -> Result<Vec<u8>, Error> {
    let path = path.join("\0");
    taken(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// Sets a filter state object; the access log shows it as `%FILTER_STATE(wasm.NAME:PLAIN)%`.
pub(crate) fn set_filter_state(name: &str, value: &str) {
    // Only the access log misses it.
    let _ = unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

/// A shared entry with its version number; both absent if it was never written.
pub(crate) fn shared_data(key: &str) -> Result<(Vec<u8>, u32), Error> {
    let mut cas = 0u32;
    let bytes =
        taken(|data, size| unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &mut cas) })?;
    Ok((bytes, cas))
}

/// Writes a shared entry if its version number is still `cas`. A number other than 0 on a missing
/// entry creates it, for one writer only.
pub(crate) fn set_shared_data(key: &str, bytes: &[u8], cas: u32) -> Result<(), Error> {
    check(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), bytes.as_ptr(), bytes.len(), cas) })
}

/// Makes the calls that follow calls of another context, until the callback ends or the next change.
pub(crate) fn set_effective_context(context: u32) -> Result<(), Error> {
    check(unsafe { proxy_set_effective_context(context) })
}

/// Lets the paused request of this context go on.
pub(crate) fn resume_request() {
    if check(unsafe { proxy_continue_stream(HTTP_REQUEST) }).is_err() {
        // It stays paused until the proxy's own timeout.
        log::error!("the host refused to let an admitted request go on");
    }
}

/// Ends the stream of this context without a word.
pub(crate) fn close_stream() -> Result<(), Error> {
    check(unsafe { proxy_close_stream(HTTP_REQUEST) })
}

/// Answers the request of this context, or cuts its stream if it was answered already. The SDK's
/// function leaves out `details`, which is where the access log says why.
pub(crate) fn send_local_response(
    status: u16,
    details: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<(), Error> {
    const NO_GRPC_STATUS: i32 = -1;
    let headers = encode_map(headers);
    check(unsafe {
        proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            NO_GRPC_STATUS,
        )
    })
}

/// Calls a function of the host that is not a part of the ABI.
pub(crate) fn foreign_function(name: &str, arguments: &[u8]) -> Result<Vec<u8>, Error> {
    taken(|data, size| unsafe {
        proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            arguments.as_ptr(),
            arguments.len(),
            data,
            size,
        )
    })
}

/// Starts an HTTP call; the reply comes to the context that made it.
pub(crate) fn http_call(call: &Call) -> Result<u32, Error> {
    let retries = call.connect_retries.to_string();
    let mut headers: Vec<(&str, &str)> =
        call.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if call.connect_retries > 0 {
        // What the server has not seen is the proxy's to try again; it takes these headers out.
        headers.push(("x-envoy-retry-on", "connect-failure,refused-stream,reset-before-request"));
        headers.push(("x-envoy-max-retries", &retries));
    }
    let timeout = Duration::from_millis(u64::from(call.timeout_ms.max(1)));
    proxy_wasm::hostcalls::dispatch_http_call(&call.cluster, headers, Some(&call.body), Vec::new(), timeout)
        .map_err(|_| Error::Failed)
}

pub(crate) fn define_metric(kind: MetricKind, name: &str) -> Result<u32, Error> {
    let mut id = 0u32;
    check(unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &mut id) })?;
    Ok(id)
}

pub(crate) fn increment_metric(id: u32, by: i64) {
    // The host refuses 0.
    if by != 0 {
        let _ = unsafe { proxy_increment_metric(id, by) };
    }
}

/// Sets a gauge, or adds a value to a histogram.
pub(crate) fn record_metric(id: u32, value: u64) {
    let _ = unsafe { proxy_record_metric(id, value) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_survive_the_wire_and_cut_ones_are_refused() {
        let bytes = encode_map(&[("a", "1"), ("b", ""), ("a", "2")]);
        let headers = decode_map(&bytes).unwrap();
        let pairs: Vec<_> = headers.iter().collect();
        assert_eq!(pairs, [("a", b"1".as_slice()), ("b", b""), ("a", b"2")]);
        for end in 1..bytes.len() - 1 {
            assert_eq!(decode_map(&bytes[..end]), None, "{end}");
        }
        assert_eq!(decode_map(&[]), Some(Headers::default()));
        assert_eq!(decode_map(&[0xff; 64]), None);
    }
}
