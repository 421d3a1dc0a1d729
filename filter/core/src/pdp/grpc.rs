//! One gRPC message there and one back, over an HTTP/2 call: framing and status (gRPC over HTTP/2).

use super::{header, AnswerError};
use crate::http::call::{Failure, Reply};
use crate::http::request::Headers;

/// The headers that make a call a gRPC call.
pub(super) fn headers(timeout_ms: u32) -> Vec<(String, String)> {
    let timeout = format!("{timeout_ms}m");
    vec![
        header("content-type", "application/grpc"),
        header("te", "trailers"),
        header("grpc-timeout", &timeout),
    ]
}

/// A message in its frame: not compressed, its length, itself.
pub(super) fn frame(message: &[u8]) -> Vec<u8> {
    let size = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut framed = vec![0];
    framed.extend_from_slice(&size.to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

/// The one message of a good reply.
///
/// # Errors
/// Why there is none.
pub(super) fn message(reply: &Reply) -> Result<&[u8], AnswerError> {
    let (headers, body, trailers) = match reply {
        Reply::Http { status: 200, headers, body, trailers } => (headers, body, trailers),
        Reply::Http { status: 504, .. } => return Err(AnswerError::Timeout),
        Reply::Http { .. } | Reply::Failed(Failure::Unavailable) => return Err(AnswerError::Unavailable),
        Reply::Failed(Failure::TooLarge) => return Err(AnswerError::Invalid),
    };
    // Something else than a gRPC server says yes to everything, too.
    let is_grpc = headers.only("content-type").is_some_and(|kind| kind.starts_with(b"application/grpc"));
    // Without a message the status comes with the headers.
    let at_once = headers.all("grpc-status").next().is_some();
    let (status, text) =
        if at_once { status(headers) } else { status(trailers) }.ok_or(AnswerError::Invalid)?;
    match status {
        0 if is_grpc && !at_once => unframe(body).ok_or(AnswerError::Invalid),
        0 => Err(AnswerError::Invalid),
        // Envoy's own status for a call that took too long is 14: its text tells.
        4 => Err(AnswerError::Timeout),
        14 if text.starts_with(b"upstream request timeout") => Err(AnswerError::Timeout),
        // INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE,
        // UNIMPLEMENTED, UNAUTHENTICATED: the server works, and does not take this call.
        3 | 5 | 6 | 7 | 9 | 11 | 12 | 16 => Err(AnswerError::Refused),
        _ => Err(AnswerError::Unavailable),
    }
}

/// `grpc-status` and `grpc-message`.
fn status(headers: &Headers) -> Option<(u32, &[u8])> {
    let digits = std::str::from_utf8(headers.only("grpc-status")?).ok()?;
    let status = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))?;
    Some((status, headers.all("grpc-message").next().unwrap_or_default()))
}

/// The message in a body that is one frame, whole and not compressed.
fn unframe(body: &[u8]) -> Option<&[u8]> {
    let (head, message) = body.split_first_chunk::<5>()?;
    let [flag, size @ ..] = *head;
    (flag == 0 && usize::try_from(u32::from_be_bytes(size)) == Ok(message.len())).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Headers {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        Headers::new(pairs.collect())
    }

    const GRPC: (&str, &str) = ("content-type", "application/grpc");

    fn reply(headers: &[(&str, &str)], body: &[u8], trailers: &[(&str, &str)]) -> Reply {
        Reply::Http { status: 200, headers: map(headers), body: body.to_vec(), trailers: map(trailers) }
    }

    #[test]
    fn one_whole_message_with_status_0_is_read() {
        let good =
            reply(&[("content-type", "application/grpc+proto")], &frame(b"m"), &[("grpc-status", "0")]);
        assert_eq!(message(&good), Ok(&b"m"[..]));
        let empty = reply(&[GRPC], &frame(b""), &[("grpc-status", "0"), ("grpc-message", "")]);
        assert_eq!(message(&empty), Ok(&b""[..]));
    }

    #[test]
    fn anything_else_is_a_failure() {
        let ok: &[(&str, &str)] = &[("grpc-status", "0")];
        let framed = frame(b"m");
        let two = [framed.clone(), framed.clone()].concat();
        let compressed = [&[1], &framed[1..]].concat();
        let invalid = [
            ("no status", reply(&[GRPC], &framed, &[])),
            ("status in the headers, beside a message", reply(&[GRPC, ("grpc-status", "0")], &framed, &[])),
            ("status in both", reply(&[GRPC, ("grpc-status", "0")], &framed, ok)),
            ("two statuses", reply(&[GRPC], &framed, &[("grpc-status", "0"), ("grpc-status", "0")])),
            ("a status that is no number", reply(&[GRPC], &framed, &[("grpc-status", "+0")])),
            ("an empty status", reply(&[GRPC], &framed, &[("grpc-status", "")])),
            ("no content type", reply(&[], &framed, ok)),
            ("another content type", reply(&[("content-type", "text/html")], &framed, ok)),
            ("no message", reply(&[GRPC], &[], ok)),
            ("status alone", reply(&[GRPC, ("grpc-status", "0")], &[], &[])),
            ("two messages", reply(&[GRPC], &two, ok)),
            ("compressed", reply(&[GRPC], &compressed, ok)),
            ("a message that is cut", reply(&[GRPC], &framed[..5], ok)),
            ("a frame that is cut", reply(&[GRPC], &framed[..4], ok)),
            ("bytes behind it", reply(&[GRPC], &[&framed[..], b"x"].concat(), ok)),
            ("too large", Reply::Failed(Failure::TooLarge)),
        ];
        for (what, reply) in invalid {
            assert_eq!(message(&reply), Err(AnswerError::Invalid), "{what}");
        }
        for (code, error) in [
            ("1", AnswerError::Unavailable),
            ("2", AnswerError::Unavailable),
            ("3", AnswerError::Refused),
            ("4", AnswerError::Timeout),
            ("7", AnswerError::Refused),
            ("13", AnswerError::Unavailable),
            ("14", AnswerError::Unavailable),
            ("99", AnswerError::Unavailable),
        ] {
            assert_eq!(message(&reply(&[GRPC], &framed, &[("grpc-status", code)])), Err(error), "{code}");
            assert_eq!(message(&reply(&[GRPC, ("grpc-status", code)], &[], &[])), Err(error), "{code}");
        }
        let late =
            reply(&[GRPC, ("grpc-status", "14"), ("grpc-message", "upstream request timeout")], &[], &[]);
        assert_eq!(message(&late), Err(AnswerError::Timeout));
        assert_eq!(message(&Reply::http(504, "")), Err(AnswerError::Timeout));
        for status in [201, 204, 302, 403, 500, 503] {
            let Reply::Http { headers, body, trailers, .. } = reply(&[GRPC], &framed, ok) else { panic!() };
            let other = Reply::Http { status, headers, body, trailers };
            assert_eq!(message(&other), Err(AnswerError::Unavailable), "{status}");
        }
        assert_eq!(message(&Reply::Failed(Failure::Unavailable)), Err(AnswerError::Unavailable));
    }
}
