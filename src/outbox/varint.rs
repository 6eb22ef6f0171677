//! Numbers as bytes, seven bits in each, the lowest first; one with its highest bit set is followed by another.

pub(super) fn push(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n as u8) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Takes a number off the front; `None` where the bytes end within it, or it is none of 64 bits.
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (mut n, mut shift) = (0_u64, 0);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let seven = u64::from(byte & 0x7f);
        n |= seven.checked_shl(shift).filter(|shifted| shifted >> shift == seven)?;
        shift += 7;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
}
