//! What stays of a request while its stream is open: enough to decide it again, in little room.

use crate::http::request::{Connection, Headers, Request, StreamId, BREAK_GLASS_HEADER};

/// How much is kept of one request, in bytes. One that is larger can't be decided again.
pub(crate) const MAX_PACKED: usize = 8 * 1024;

/// A request without its secrets.
#[derive(Debug)]
pub(crate) struct PackedRequest {
    /// Names and values one after another, each behind its length.
    headers: Box<[u8]>,
    connection: Connection,
}

impl PackedRequest {
    /// Leaves out headers that are secret; `None` if what remains is too large.
    pub(crate) fn of(request: &Request, is_secret: impl Fn(&str) -> bool) -> Option<Self> {
        let reasons = request.break_glass_reasons().iter().map(|reason| (BREAK_GLASS_HEADER, &**reason));
        let headers = request.headers().iter().filter(|(name, _)| !is_secret(name));
        let connection = request.connection.iter().filter_map(|(_, value)| value.as_str());
        let mut left = connection.map(str::len).try_fold(MAX_PACKED, usize::checked_sub);
        let mut packed = Vec::new();
        for text in headers.chain(reasons).flat_map(|(name, value)| [name.as_bytes(), value]) {
            left = left?.checked_sub(text.len().saturating_add(2));
            packed.extend_from_slice(&u16::try_from(text.len()).ok()?.to_le_bytes());
            packed.extend_from_slice(text);
        }
        left.map(|_| Self { headers: packed.into(), connection: request.connection.clone() })
    }

    /// How much it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.headers.len()
    }

    /// The request again.
    pub(crate) fn request(&self, stream: StreamId) -> Request {
        let mut rest = &*self.headers;
        let mut next = || {
            let (size, behind) = rest.split_first_chunk::<2>()?;
            let (text, behind) = behind.split_at_checked(u16::from_le_bytes(*size).into())?;
            rest = behind;
            Some(text)
        };
        let mut pairs = Vec::new();
        while let (Some(name), Some(value)) = (next(), next()) {
            pairs.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
        }
        Request::new(stream, Headers::new(pairs), self.connection.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(value: usize) -> Request {
        let pairs = [
            (":path", b"/a?b".to_vec()),
            ("authorization", b"Bearer secret".to_vec()),
            ("x-a", b"\xff\xfe".to_vec()),
            ("x-a", Vec::new()),
            ("x-everycall-break-glass", b"the shop burns".to_vec()),
            ("x-large", vec![b'a'; value]),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value)).to_vec();
        withheld(Request::new(StreamId(7), Headers::new(pairs), Connection::default()))
    }

    fn withheld(mut request: Request) -> Request {
        request.withhold(&[]);
        request
    }

    #[test]
    fn everything_but_secrets_comes_back() {
        let before = request(1);
        let kept = PackedRequest::of(&before, |name| name == "authorization").unwrap();
        let after = withheld(kept.request(StreamId(7)));
        let expected: Vec<_> = before.headers().iter().filter(|(name, _)| *name != "authorization").collect();
        assert_eq!(after.headers().iter().collect::<Vec<_>>(), expected);
        assert_eq!(after.break_glass_reasons(), [b"the shop burns"]);
        assert_eq!(after.stream, before.stream);
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        assert!(PackedRequest::of(&request(8_000), |_| false).is_some());
        assert!(PackedRequest::of(&request(8_192), |_| false).is_none());
        assert!(PackedRequest::of(&request(100_000), |_| false).is_none());
        assert!(PackedRequest::of(&request(100_000), |name| name == "x-large").is_some());
    }
}
