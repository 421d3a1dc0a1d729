//! The imports, as the adapter calls them.

use std::collections::BTreeSet;

use everycall_filter::METRICS;

use super::{
    bytes, decode, encode, give, host, text, Callout, Crypto, LocalResponse, Pairs, BAD_ARGUMENT,
    CAS_MISMATCH, INTERNAL_FAILURE, NOT_FOUND, OK,
};

fn fault(name: &'static str) -> Option<u32> {
    host(|host| host.faults.get(name).copied())
}

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
