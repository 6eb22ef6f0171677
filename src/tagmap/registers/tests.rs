use proptest::prelude::*;

use super::*;

const NUL_SPACE: Trim = Trim { nul: true, space: true };

fn check(kind: Type, registers: &[u16], expected: Result<Value, &str>) {
    assert_eq!(kind.decode(registers), expected.map_err(str::to_owned));
}

/// The other direction, written independently of `places`.
fn encode(order: Order, number: u32) -> [u16; 2] {
    let [a, b, c, d] = number.to_be_bytes();
    let words = |w: [u8; 4]| [u16::from_be_bytes([w[0], w[1]]), u16::from_be_bytes([w[2], w[3]])];
    words(match order {
        Order::Abcd => [a, b, c, d],
        Order::Cdab => [c, d, a, b],
        Order::Badc => [b, a, d, c],
        Order::Dcba => [d, c, b, a],
    })
}

#[test]
fn the_letters_are_the_bytes_as_they_come_off_the_wire() {
    for (order, registers) in [
        (Order::Abcd, [0x0102, 0x0304]),
        (Order::Cdab, [0x0304, 0x0102]),
        (Order::Badc, [0x0201, 0x0403]),
        (Order::Dcba, [0x0403, 0x0201]),
    ] {
        check(Type::U32(order), &registers, Ok(Value::Int(0x0102_0304)));
    }
}

#[test]
fn text_is_trimmed_at_its_end_only_and_must_be_printable() {
    let text = |chars, trim| Type::Text { words: 3, chars, trim };
    let (high, low) = (Chars::HighFirst, Chars::LowFirst);
    let keep = Trim { nul: false, space: false };
    check(text(high, NUL_SPACE), &[0x2041, 0x4220, 0x0000], Ok(Value::Text(" AB".to_owned())));
    check(text(low, NUL_SPACE), &[0x4241, 0x2043, 0x0020], Ok(Value::Text("ABC".to_owned())));
    check(text(high, keep), &[0x4142, 0x4344, 0x4520], Ok(Value::Text("ABCDE ".to_owned())));
    let bad = "holds the byte 0x00, which is no printable ASCII";
    check(text(high, NUL_SPACE), &[0x4100, 0x4200, 0x0000], Err(bad));
    check(text(high, keep), &[0x4142, 0x4300, 0x0000], Err(bad));
    check(text(high, keep), &[0x4142], Err("has 1 registers instead of 3"));
}

#[test]
fn a_register_may_hold_one_character() {
    let text = |chars| Type::Text { words: 3, chars, trim: NUL_SPACE };
    check(text(Chars::High), &[0x4100, 0x42FF, 0x2000], Ok(Value::Text("AB".to_owned())));
    check(text(Chars::Low), &[0x0041, 0xFF42, 0x0000], Ok(Value::Text("AB".to_owned())));
    check(text(Chars::Low), &[0x4100, 0x4200, 0x4300], Ok(Value::Text(String::new())));
}

fn orders() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Abcd), Just(Order::Cdab), Just(Order::Badc), Just(Order::Dcba)]
}

proptest! {
    #[test]
    fn numbers_come_back(order in orders(), number: u32) {
        prop_assert_eq!(Type::U32(order).decode(&encode(order, number)), Ok(Value::Int(i64::from(number))));
    }

    #[test]
    fn printable_text_comes_back(text in "[ -~]{0,19}[!-~]", low_first: bool) {
        let mut bytes = text.clone().into_bytes();
        bytes.resize(20, 0);
        let (join, chars): (fn([u8; 2]) -> u16, _) =
            if low_first { (u16::from_le_bytes, Chars::LowFirst) } else { (u16::from_be_bytes, Chars::HighFirst) };
        let registers: Vec<u16> = bytes.chunks(2).map(|pair| join([pair[0], pair[1]])).collect();
        let kind = Type::Text { words: 10, chars, trim: NUL_SPACE };
        prop_assert_eq!(kind.decode(&registers), Ok(Value::Text(text)));
    }

    #[test]
    fn any_registers_decode_or_say_why(kind in orders().prop_map(Type::U32), registers: Vec<u16>, words in 0u16..20) {
        let text = Type::Text { words, chars: Chars::HighFirst, trim: NUL_SPACE };
        for kind in [Type::U16, kind, text] {
            match kind.decode(&registers) {
                Ok(_) => prop_assert_eq!(registers.len(), usize::from(kind.words())),
                Err(reason) => prop_assert!(!reason.is_empty()),
            }
        }
    }
}

fn wide_orders() -> impl Strategy<Value = (Order, &'static str)> {
    prop_oneof![
        Just((Order::Abcd, "ABCDEFGH")),
        Just((Order::Cdab, "GHEFCDAB")),
        Just((Order::Badc, "BADCFEHG")),
        Just((Order::Dcba, "HGFEDCBA")),
    ]
}

fn number(text: &str) -> Decimal {
    text.parse().expect("it is a number")
}

proptest! {
    #[test]
    fn eight_letters_are_the_bytes_as_they_come_off_the_wire((order, letters) in wide_orders(), number: u64) {
        let bytes = number.to_be_bytes();
        let wire: Vec<u8> = letters.bytes().map(|letter| bytes[usize::from(letter - b'A')]).collect();
        let registers: Vec<u16> = wire.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        prop_assert_eq!(Type::U64(order).raw(&registers), Ok(Raw::Number(number.into())));
        prop_assert_eq!(Type::I64(order).raw(&registers), Ok(Raw::Number((number as i64).into())));
    }

    #[test]
    fn what_is_written_reads_back(order in orders(), bits: u64, digits in 0_u32..100_000_000) {
        let types = [
            (Type::U16, Decimal::from(bits as u16)),
            (Type::I16, Decimal::from(bits as i16)),
            (Type::Swapped { signed: true }, Decimal::from(bits as i16)),
            (Type::U32(order), Decimal::from(bits as u32)),
            (Type::I32(order), Decimal::from(bits as i32)),
            (Type::U64(order), Decimal::from(bits)),
            (Type::I64(order), Decimal::from(bits as i64)),
            (Type::Bcd16, Decimal::from(digits % 10_000)),
            (Type::Bcd32(order), Decimal::from(digits)),
            (Type::F64(order), Decimal::new(i64::from(digits), 3)),
        ];
        for (kind, number) in types {
            let registers = kind.encode(number).expect("it fits");
            prop_assert_eq!(kind.raw(&registers), Ok(Raw::Number(number)), "{:?}", kind);
        }
    }

    #[test]
    fn a_float_is_the_shortest_decimal_that_reads_back(bits: u32) {
        let x = f32::from_bits(bits);
        match Type::F32(Order::Abcd).raw(&[(bits >> 16) as u16, bits as u16]) {
            Ok(Raw::Number(number)) if x.abs() >= 1e-20 => {
                prop_assert_eq!(number.to_string().parse::<f32>().map(f32::to_bits), Ok(bits), "{}", number);
            }
            Ok(Raw::Number(_)) => {} // smaller than 28 decimals hold
            Ok(Raw::NotANumber) => prop_assert!(x.is_nan()),
            Ok(Raw::Infinite) => prop_assert!(x.abs() > 7.9e28),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn what_does_not_fit_is_not_written() {
    for (kind, text) in [
        (Type::U16, "65536"),
        (Type::U16, "-1"),
        (Type::U16, "0.5"),
        (Type::I16, "32768"),
        (Type::Bcd16, "10000"),
        (Type::Bcd16, "-1"),
        (Type::U8 { high: true }, "1"),
        (Type::F16, "1"),
        (Type::Bytes { words: 1 }, "1"),
    ] {
        assert_eq!(kind.encode(number(text)), Err(format!("{text} does not fit its type")), "{kind:?}");
    }
}

#[test]
fn floats_beyond_what_a_decimal_holds() {
    let f32 = |x: f32| {
        let bits = x.to_bits();
        Type::F32(Order::Abcd).raw(&[(bits >> 16) as u16, bits as u16])
    };
    for x in [1e-40, f32::MIN_POSITIVE, 1e-29, -0.0] {
        assert_eq!(f32(x), Ok(Raw::Number(Decimal::ZERO)), "{x:e}");
    }
    assert_eq!(f32(7.9e28), Ok(Raw::Number(number("79000000000000000000000000000"))));
    assert_eq!(f32(8e28), Ok(Raw::Infinite));
    assert_eq!(f32(16_777_217.0), Ok(Raw::Number(number("16777216"))));
}
