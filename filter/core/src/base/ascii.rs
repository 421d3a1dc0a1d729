//! Looks through text in blocks: without a way out in between, the compiler makes wide instructions of it.

/// Bytes of a block.
const BLOCK: usize = 32;

/// Whether all bytes are visible ASCII, blanks not among them.
pub(crate) fn is_graphic(bytes: &[u8]) -> bool {
    all(bytes, |byte| byte.is_ascii_graphic())
}

/// Whether all bytes are ASCII, DEL not among them.
pub(crate) fn is_below_del(bytes: &[u8]) -> bool {
    all(bytes, |byte| byte < 0x7f)
}

fn all(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    let blocks = bytes.chunks_exact(BLOCK);
    let rest = blocks.remainder();
    let holds = |block: &[u8]| block.iter().fold(true, |all, byte| all & is(*byte));
    blocks.into_iter().all(holds) && holds(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_counts_wherever_it_stands() {
        for length in 0..=2 * BLOCK + 1 {
            assert!(is_graphic(&vec![b'a'; length]) && is_below_del(&vec![b'a'; length]));
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = byte;
                    assert_eq!(
                        is_graphic(&bytes),
                        (0x21..=0x7e).contains(&byte),
                        "{byte} at {at} of {length}"
                    );
                    assert_eq!(is_below_del(&bytes), byte <= 0x7e, "{byte} at {at} of {length}");
                }
            }
        }
    }
}
