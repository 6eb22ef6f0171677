//! GS1: the serial shipping container code, and what scanners put around a code.

/// The 18 digits of an SSCC: given alone or behind its application identifier 00, with a right check digit.
pub(super) fn sscc(text: &str) -> Option<&str> {
    let digits = match text.len() {
        18 => text,
        20 => text.strip_prefix("00")?,
        _ => return None,
    };
    has_check_digit(digits).then_some(digits)
}

/// All digits, the last one GS1's check digit: weights 3 and 1 from the right, modulo 10.
fn has_check_digit(text: &str) -> bool {
    let digits = || text.bytes().rev().map(|b| u32::from(b.wrapping_sub(b'0')));
    digits().all(|d| d <= 9)
        && digits().zip([1, 3].into_iter().cycle()).map(|(digit, weight)| digit * weight).sum::<u32>() % 10 == 0
}

/// The code without what the scanner may be set to add: an AIM symbology identifier (`]C1`) before it; CR, LF, TAB
/// after it. Nothing else is taken off (semantics 1.2).
pub(super) fn bare(code: &str) -> &str {
    let code = match code.as_bytes() {
        [b']', letter, digit, ..] if letter.is_ascii_alphabetic() && digit.is_ascii_digit() => &code[3..],
        _ => code,
    };
    code.trim_end_matches(['\r', '\n', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sscc_has_18_digits_or_20_behind_00_and_a_right_check_digit() {
        const SSCC: &str = "395212345000000125";
        assert_eq!(sscc(SSCC), Some(SSCC));
        assert_eq!(sscc("00395212345000000125"), Some(SSCC));
        for not in ["395212345000000126", "01395212345000000125", "39521234500000012", "39521234500000012x", "", "é"] {
            assert_eq!(sscc(not), None, "{not}");
        }
    }

    #[test]
    fn only_the_scanners_additions_are_taken_off() {
        for (code, expected) in [
            ("]C100395212345000000125\r\n", "00395212345000000125"),
            ("]Q3", ""),
            ("]ö1x", "]ö1x"),
            ("]1Cx", "]1Cx"),
            (" 42 \t", " 42 "),
            ("4\n2", "4\n2"),
        ] {
            assert_eq!(bare(code), expected, "{code}");
        }
    }
}
