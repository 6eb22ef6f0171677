//! Whether an answer is one to the request, and what requests are called. Pure.

use tokio_modbus::{Request, Response};

use super::FIFO_QUEUE;

/// Bytes of an exception over RTU: unit, function, code, checksum.
pub(super) const RTU_EXCEPTION: usize = 5;
/// Most words of a FIFO queue (Modbus Application Protocol 1.1b3, 6.18).
const QUEUE_WORDS: usize = 31;

/// The answer holds what was asked for: as many registers, the same place written. What a single write echoes as its
/// value is the caller's.
pub(super) fn fits(request: &Request<'_>, response: &Response) -> bool {
    match (request, response) {
        (Request::ReadHoldingRegisters(_, count), Response::ReadHoldingRegisters(words))
        | (Request::ReadInputRegisters(_, count), Response::ReadInputRegisters(words)) => {
            words.len() == usize::from(*count)
        }
        (Request::ReadCoils(_, count), Response::ReadCoils(bits))
        | (Request::ReadDiscreteInputs(_, count), Response::ReadDiscreteInputs(bits)) => {
            bits.len() == usize::from(count.div_ceil(8)) * 8
        }
        (Request::WriteSingleCoil(at, _), Response::WriteSingleCoil(echoed, _))
        | (Request::WriteSingleRegister(at, _), Response::WriteSingleRegister(echoed, _)) => at == echoed,
        (Request::WriteMultipleCoils(at, bits), Response::WriteMultipleCoils(echoed, count)) => {
            at == echoed && bits.len() == usize::from(*count)
        }
        (Request::WriteMultipleRegisters(at, words), Response::WriteMultipleRegisters(echoed, count)) => {
            at == echoed && words.len() == usize::from(*count)
        }
        (Request::MaskWriteRegister(at, and, or), Response::MaskWriteRegister(echoed, keeps, sets)) => {
            (at, and, or) == (echoed, keeps, sets)
        }
        (Request::ReadDeviceIdentification(..), Response::ReadDeviceIdentification(_)) => true,
        (Request::Custom(FIFO_QUEUE, _), Response::Custom(FIFO_QUEUE, data)) => queue_is_whole(data),
        _ => false,
    }
}

/// Byte count, word count and the words agree.
fn queue_is_whole(data: &[u8]) -> bool {
    let [b0, b1, c0, c1, words @ ..] = data else { return false };
    let count = usize::from(u16::from_be_bytes([*c0, *c1]));
    let bytes = usize::from(u16::from_be_bytes([*b0, *b1]));
    count <= QUEUE_WORDS && words.len() == count * 2 && bytes == words.len() + 2
}

/// Bytes of the answer as a frame over RTU, where the library tells enough to know.
pub(super) fn rtu_length(response: &Response) -> Option<usize> {
    match response {
        Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words) => Some(5 + words.len() * 2),
        Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits) => Some(5 + bits.len() / 8),
        Response::WriteSingleCoil(..)
        | Response::WriteSingleRegister(..)
        | Response::WriteMultipleCoils(..)
        | Response::WriteMultipleRegisters(..) => Some(8),
        Response::MaskWriteRegister(..) => Some(10),
        Response::Custom(_, data) => Some(4 + data.len()),
        _ => None,
    }
}

/// Sizes that are tried for a read of another size: more than are remembered.
const MOST: u16 = 16;

/// A read whose answer has another size than those that may still come; `None` when they can't be taken for a read's.
pub(super) fn of_another_size(open: &[Request<'static>]) -> Option<Request<'static>> {
    let sizes: Vec<u16> = open.iter().filter_map(size).collect();
    let count = (1..=MOST).find(|count| !sizes.contains(count))?;
    open.iter().rev().find_map(|request| match request {
        Request::ReadHoldingRegisters(at, _) => Some(Request::ReadHoldingRegisters(room(*at, count), count)),
        Request::ReadInputRegisters(at, _) => Some(Request::ReadInputRegisters(room(*at, count), count)),
        Request::ReadCoils(at, _) => Some(Request::ReadCoils(room(*at, count * 8), count * 8)),
        Request::ReadDiscreteInputs(at, _) => Some(Request::ReadDiscreteInputs(room(*at, count * 8), count * 8)),
        _ => None,
    })
}

/// Registers, or bytes of bits.
fn size(request: &Request<'_>) -> Option<u16> {
    match request {
        Request::ReadHoldingRegisters(_, count) | Request::ReadInputRegisters(_, count) => Some(*count),
        Request::ReadCoils(_, count) | Request::ReadDiscreteInputs(_, count) => Some(count.div_ceil(8)),
        _ => None,
    }
}

/// `at`, or before it where `count` would go past the last address.
fn room(at: u16, count: u16) -> u16 {
    at.min(u16::MAX - count + 1)
}

/// What a request does, for people.
pub(super) fn what(request: &Request<'_>) -> String {
    match request {
        Request::ReadCoils(at, count) => format!("reading {count} coils from {at}"),
        Request::ReadDiscreteInputs(at, count) => format!("reading {count} discrete inputs from {at}"),
        Request::ReadHoldingRegisters(at, count) => format!("reading {count} holding registers from {at}"),
        Request::ReadInputRegisters(at, count) => format!("reading {count} input registers from {at}"),
        Request::WriteSingleCoil(at, on) => format!("writing {} to coil {at}", u8::from(*on)),
        Request::WriteSingleRegister(at, value) => format!("writing {value} to holding register {at}"),
        Request::WriteMultipleCoils(at, bits) => format!("writing {} coils from {at}", bits.len()),
        Request::WriteMultipleRegisters(at, words) => format!("writing {} holding registers from {at}", words.len()),
        Request::MaskWriteRegister(at, ..) => format!("masking holding register {at}"),
        Request::ReadDeviceIdentification(_, object) => format!("reading identification object {object}"),
        Request::Custom(FIFO_QUEUE, at) => {
            format!("reading the queue at {}", at.iter().fold(0, |at, byte| at << 8 | u32::from(*byte)))
        }
        other => format!("function {}", other.function_code()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_what_was_asked_for() {
        let check = |request: Request<'_>, response: &Response, expected| {
            assert_eq!(fits(&request, response), expected, "{request:?} {response:?}");
        };
        check(Request::ReadHoldingRegisters(7, 2), &Response::ReadHoldingRegisters(vec![1, 2]), true);
        check(Request::ReadHoldingRegisters(7, 2), &Response::ReadHoldingRegisters(vec![1]), false);
        check(Request::ReadHoldingRegisters(7, 1), &Response::ReadInputRegisters(vec![1]), false);
        check(Request::ReadCoils(7, 9), &Response::ReadCoils(vec![true; 16]), true);
        check(Request::ReadCoils(7, 9), &Response::ReadCoils(vec![true; 8]), false);
        check(Request::WriteSingleRegister(7, 1), &Response::WriteSingleRegister(7, 2), true);
        check(Request::WriteSingleRegister(7, 1), &Response::WriteSingleRegister(8, 1), false);
        check(Request::WriteMultipleCoils(7, vec![true].into()), &Response::WriteMultipleCoils(7, 2), false);
        check(Request::WriteMultipleRegisters(7, vec![1].into()), &Response::WriteMultipleRegisters(7, 1), true);
        check(Request::MaskWriteRegister(7, 1, 2), &Response::MaskWriteRegister(7, 1, 3), false);
    }

    #[test]
    fn a_queues_counts_agree_with_its_words() {
        let queue = Request::Custom(FIFO_QUEUE, vec![0, 7].into());
        let check = |data: &'static [u8], expected| {
            let response = Response::Custom(FIFO_QUEUE, tokio_modbus::bytes::Bytes::from_static(data));
            assert_eq!(fits(&queue, &response), expected, "{data:?}");
        };
        check(&[0, 2, 0, 0], true);
        check(&[0, 6, 0, 2, 0, 1, 0, 2], true);
        check(&[0, 6, 0, 2, 0, 1], false);
        check(&[0, 6, 0, 1, 0, 1, 0, 2], false);
        check(&[0], false);
        let long: Vec<u8> = [0, 66, 0, 32].into_iter().chain([0; 64]).collect();
        check(long.leak(), false);
    }

    #[test]
    fn the_read_in_between_can_not_be_mixed_up_with_what_may_still_come() {
        let reads = |counts: &[u16]| -> Vec<_> {
            counts.iter().map(|count| Request::ReadHoldingRegisters(65_535, *count)).collect()
        };
        assert_eq!(of_another_size(&reads(&[3])), Some(Request::ReadHoldingRegisters(65_535, 1)));
        assert_eq!(of_another_size(&reads(&[1])), Some(Request::ReadHoldingRegisters(65_534, 2)));
        assert_eq!(of_another_size(&reads(&[1, 2])), Some(Request::ReadHoldingRegisters(65_533, 3)));
        assert_eq!(of_another_size(&[Request::ReadCoils(4, 8)]), Some(Request::ReadCoils(4, 16)));
        assert_eq!(of_another_size(&[Request::ReadCoils(4, 9)]), Some(Request::ReadCoils(4, 8)));
        assert_eq!(
            of_another_size(&[Request::ReadDeviceIdentification(tokio_modbus::prelude::ReadCode::Basic, 0)]),
            None
        );
    }
}
