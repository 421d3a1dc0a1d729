//! An HTTP/2 client that sends exactly what it is told (RFC 9113, RFC 7541): well-behaved libraries refuse to send
//! most of what the tests are about. It takes from answers what they need: status, end, reset.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{bail, Context as _};

/// How a field is written into the header block.
#[derive(Debug, Clone, Copy)]
pub enum Field<'f> {
    /// Name and value, remembered by nobody.
    Plain(&'f str, &'f [u8]),
    /// Name and value, which both sides remember: the newest of what they remember is `Known(0)`.
    Remembered(&'f str, &'f [u8]),
    /// One that is remembered.
    Known(usize),
}

/// What came of a stream, or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The status of the response.
    Status(u32, u16),
    /// The end of the response.
    End(u32),
    /// The stream was reset, with this error code.
    Reset(u32, u32),
    /// No more streams are taken, with this error code.
    GoAway(u32),
    /// The connection is closed.
    Closed,
}

/// A connection.
#[derive(Debug)]
pub struct H2 {
    stream: TcpStream,
    next: u32,
    read: Vec<u8>,
    events: VecDeque<Event>,
    /// Header blocks and data that came, in bytes, since the window was opened again.
    taken: u32,
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// The most that one frame may hold, unless the peer says otherwise (RFC 9113 section 4.2).
const FRAME: usize = 16_384;
/// Of the static table (RFC 7541 appendix A): how many entries there are before those that are remembered.
const STATIC: usize = 61;

impl H2 {
    /// Connects without TLS (RFC 9113 section 3.3), and asks the peer to remember nothing of what it sends.
    ///
    /// # Errors
    /// There is no connection.
    pub fn connect(to: SocketAddr) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(to).with_context(|| format!("connect to {to}"))?;
        stream.set_nodelay(true)?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        let mut client = Self { stream, next: 1, read: Vec::new(), events: VecDeque::new(), taken: 0 };
        let mut settings = Vec::new();
        // SETTINGS_HEADER_TABLE_SIZE, SETTINGS_INITIAL_WINDOW_SIZE.
        for (name, value) in [(1_u16, 0_u32), (4, 1 << 30)] {
            settings.extend(name.to_be_bytes());
            settings.extend(value.to_be_bytes());
        }
        client.send(SETTINGS, 0, 0, &settings)?;
        client.send(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes())?;
        Ok(client)
    }

    /// Sends a request without a body, or leaves it open; the stream's number.
    ///
    /// # Errors
    /// The connection broke.
    pub fn request(&mut self, fields: &[Field<'_>], ends: bool) -> anyhow::Result<u32> {
        let (bytes, stream) = self.block(fields, ends);
        self.stream.write_all(&bytes)?;
        Ok(stream)
    }

    /// The same for many requests in one write, which the peer may read at once.
    ///
    /// # Errors
    /// The connection broke.
    pub fn requests<'f>(&mut self, all: impl Iterator<Item = Vec<Field<'f>>>) -> anyhow::Result<()> {
        let bytes: Vec<u8> = all.flat_map(|fields| self.block(&fields, true).0).collect();
        Ok(self.stream.write_all(&bytes)?)
    }

    fn block(&mut self, fields: &[Field<'_>], ends: bool) -> (Vec<u8>, u32) {
        let stream = self.next;
        self.next += 2;
        let mut block = Vec::new();
        fields.iter().for_each(|field| encode(*field, &mut block));
        let mut out = Vec::new();
        let pieces: Vec<&[u8]> = block.chunks(FRAME).collect();
        for (at, piece) in pieces.iter().enumerate() {
            let last = if at + 1 == pieces.len() { END_HEADERS } else { 0 };
            let (kind, flags) = match at {
                0 => (HEADERS, last | if ends { END_STREAM } else { 0 }),
                _ => (CONTINUATION, last),
            };
            frame(kind, flags, stream, piece, &mut out);
        }
        (out, stream)
    }

    /// Resets a stream: the client leaves.
    ///
    /// # Errors
    /// The connection broke.
    pub fn reset(&mut self, stream: u32) -> anyhow::Result<()> {
        self.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> anyhow::Result<()> {
        let mut out = Vec::new();
        frame(kind, flags, stream, payload, &mut out);
        Ok(self.stream.write_all(&out)?)
    }

    /// What comes next; `None` if nothing does within this time.
    ///
    /// # Errors
    /// The peer sent what is no HTTP/2, or what this client does not read.
    pub fn event(&mut self, within: Duration) -> anyhow::Result<Option<Event>> {
        self.stream.set_read_timeout(Some(within))?;
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if self.frames()? {
                continue;
            }
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(Some(Event::Closed)),
                Ok(size) => self.read.extend(&buffer[..size]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(None)
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(Some(Event::Closed)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The status of the response on a stream; what comes of others is dropped.
    ///
    /// # Errors
    /// There is none within this time.
    pub fn status(&mut self, stream: u32, within: Duration) -> anyhow::Result<u16> {
        loop {
            match self.event(within)? {
                Some(Event::Status(of, status)) if of == stream => return Ok(status),
                Some(Event::Status(..) | Event::End(_)) => {}
                other => bail!("instead of the status of stream {stream}: {other:?}"),
            }
        }
    }

    /// Takes the whole frames of what was read; whether there were some.
    fn frames(&mut self) -> anyhow::Result<bool> {
        let mut begin = 0;
        while let Some(head) = self.read.get(begin..begin + 9) {
            let size = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let (kind, flags) = (head[3], head[4]);
            let stream = number(&head[5..9]) & 0x7fff_ffff;
            let Some(payload) = self.read.get(begin + 9..begin + 9 + size) else { break };
            let payload = payload.to_vec();
            begin += 9 + size;
            self.take(kind, flags, stream, &payload)?;
        }
        self.read.drain(..begin);
        Ok(begin > 0)
    }

    fn take(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> anyhow::Result<()> {
        match kind {
            HEADERS => {
                // Trailers have no status.
                if let Some(status) = status(payload)? {
                    self.events.push_back(Event::Status(stream, status));
                }
            }
            SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[])?,
            PING if flags & ACK == 0 => self.send(PING, ACK, 0, payload)?,
            RST_STREAM => self.events.push_back(Event::Reset(stream, number(payload))),
            GOAWAY => self.events.push_back(Event::GoAway(number(payload.get(4..).unwrap_or_default()))),
            DATA => {
                self.taken += u32::try_from(payload.len())?;
                if self.taken > 1 << 20 {
                    let taken = std::mem::take(&mut self.taken);
                    self.send(WINDOW_UPDATE, 0, 0, &taken.to_be_bytes())?;
                }
            }
            _ => {}
        }
        if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            self.events.push_back(Event::End(stream));
        }
        Ok(())
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let size = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend(&size[1..]);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// RFC 7541 section 6.
fn encode(field: Field<'_>, out: &mut Vec<u8>) {
    match field {
        Field::Known(at) => integer(0x80, 7, STATIC + 1 + at, out),
        Field::Remembered(name, value) => {
            out.push(0x40);
            text(name.as_bytes(), out);
            text(value, out);
        }
        Field::Plain(name, value) => {
            out.push(0x00);
            text(name.as_bytes(), out);
            text(value, out);
        }
    }
}

/// RFC 7541 section 5.2, without Huffman's code.
fn text(bytes: &[u8], out: &mut Vec<u8>) {
    integer(0, 7, bytes.len(), out);
    out.extend(bytes);
}

/// RFC 7541 section 5.1.
fn integer(first: u8, bits: u8, mut value: usize, out: &mut Vec<u8>) {
    let most = (1_usize << bits) - 1;
    if value < most {
        out.push(first | u8::try_from(value).unwrap_or_default());
        return;
    }
    out.push(first | u8::try_from(most).unwrap_or_default());
    value -= most;
    while value >= 128 {
        out.push(u8::try_from(value % 128).unwrap_or_default() | 128);
        value /= 128;
    }
    out.push(u8::try_from(value).unwrap_or_default());
}

/// The status that a header block begins with. The peer has no table of its own, so it is an entry of the static
/// one, or three digits.
fn status(block: &[u8]) -> anyhow::Result<Option<u16>> {
    const KNOWN: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let mut rest = block;
    // The size of the table, which was asked to be 0.
    while let [0x20..=0x3f, after @ ..] = rest {
        rest = after;
    }
    match rest {
        [first @ 0x88..=0x8e, ..] => Ok(KNOWN.get(usize::from(first - 0x88)).copied()),
        // A literal whose name is entry 8: without and with remembering, never to be remembered.
        [0x08 | 0x48 | 0x18, size, value @ ..] => {
            let bytes = value.get(..usize::from(size & 0x7f)).context("a status that is cut off")?;
            let digits = if size & 0x80 == 0 { String::from_utf8(bytes.to_vec())? } else { digits(bytes)? };
            Ok(Some(digits.parse()?))
        }
        _ => Ok(None),
    }
}

/// Digits in Huffman's code (RFC 7541 appendix B): 0 to 2 have five bits, the others six.
fn digits(bytes: &[u8]) -> anyhow::Result<String> {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let mut digits = String::new();
    let mut rest = bits.as_slice();
    while rest.len() >= 5 && !rest.iter().all(|bit| *bit == 1) {
        let value = |count: usize| rest.iter().take(count).fold(0_u8, |value, bit| value << 1 | bit);
        let (digit, used) = match (value(5), value(6)) {
            (five @ 0..=2, _) => (five, 5),
            (_, six @ 0x19..=0x1f) => (six - 0x19 + 3, 6),
            (_, other) => bail!("{other:#x} is no digit"),
        };
        digits.push(char::from(b'0' + digit));
        rest = &rest[used..];
    }
    Ok(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541 sections C.1 and C.6.1: `302` and `307`.
    #[test]
    fn integers_and_digits_are_as_in_the_rfc() {
        let integer = |first, bits, value| {
            let mut out = Vec::new();
            super::integer(first, bits, value, &mut out);
            out
        };
        assert_eq!(integer(0, 5, 10), [0x0a]);
        assert_eq!(integer(0, 5, 1337), [0x1f, 0x9a, 0x0a]);
        assert_eq!(digits(&[0x64, 0x02]).unwrap(), "302");
        assert_eq!(digits(&[0x64, 0x0e, 0xff]).unwrap(), "307");
        assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]).unwrap(), Some(302));
        assert_eq!(status(&[0x20, 0x88]).unwrap(), Some(200));
    }
}
