//! The words of types, here and elsewhere.

use crate::tagmap::registers::{Order, Type};

/// What the word of a type says.
#[derive(Clone, Copy)]
pub(in crate::tagmap::points::schema) enum Word {
    Bool,
    Bit,
    One(Type),
    Two(fn(Order) -> Type),
    Four(fn(Order) -> Type),
    Text,
    Bytes,
}

/// What registers are called elsewhere: in PLCs (IEC 61131-3), in other gateways and in languages.
pub(in crate::tagmap::points::schema) const ELSEWHERE: [(&str, &str); 40] = [
    ("uint8", "u8l"),
    ("byte", "u8l"),
    ("uint16", "u16"),
    ("uint", "u16"),
    ("word", "u16"),
    ("int16", "i16"),
    ("int", "i16"),
    ("short", "i16"),
    ("uint32", "u32"),
    ("udint", "u32"),
    ("dword", "u32"),
    ("int32", "i32"),
    ("dint", "i32"),
    ("long", "i32"),
    ("uint64", "u64"),
    ("ulint", "u64"),
    ("lword", "u64"),
    ("int64", "i64"),
    ("lint", "i64"),
    ("float16", "f16"),
    ("half", "f16"),
    ("float32", "f32"),
    ("float", "f32"),
    ("real", "f32"),
    ("single", "f32"),
    ("float64", "f64"),
    ("double", "f64"),
    ("lreal", "f64"),
    ("bcd", "bcd16"),
    ("ascii", "string"),
    ("text", "string"),
    ("str", "string"),
    ("char", "string"),
    ("boolean", "bool"),
    ("coil", "bool"),
    ("discrete", "bool"),
    ("raw", "bytes"),
    ("hex", "bytes"),
    ("flag", "bit"),
    ("unsigned", "u16"),
];

/// The types of tags; writes have some of them.
pub(in crate::tagmap::points::schema) const TYPES: [(&str, Word); 17] = [
    ("bool", Word::Bool),
    ("bit", Word::Bit),
    ("u8l", Word::One(Type::U8 { high: false })),
    ("u8h", Word::One(Type::U8 { high: true })),
    ("u16", Word::One(Type::U16)),
    ("i16", Word::One(Type::I16)),
    ("u32", Word::Two(Type::U32)),
    ("i32", Word::Two(Type::I32)),
    ("u64", Word::Four(Type::U64)),
    ("i64", Word::Four(Type::I64)),
    ("f16", Word::One(Type::F16)),
    ("f32", Word::Two(Type::F32)),
    ("f64", Word::Four(Type::F64)),
    ("bcd16", Word::One(Type::Bcd16)),
    ("bcd32", Word::Two(Type::Bcd32)),
    ("string", Word::Text),
    ("bytes", Word::Bytes),
];
