//! Labels for the demo's cartons and items, with valid check digits.

/// The check digit of a GS1 number: weights 3 and 1 from the right.
fn check_digit(digits: &str) -> u32 {
    let sum: u32 = digits.bytes().rev().zip([3, 1].into_iter().cycle()).map(|(b, w)| u32::from(b - b'0') * w).sum();
    (10 - sum % 10) % 10
}

fn with_check(digits: &str) -> String {
    format!("{digits}{}", check_digit(digits))
}

/// SSCC (18 digits) of carton `n` as a scanner of `station` sees it.
pub fn packed(station: u64, n: u64) -> String {
    with_check(&format!("39521231{:02}{:07}", station % 100, n % 10_000_000))
}

/// SSCC of carton `n` on the sorter: another number range than that of the scanners.
pub fn sorted(n: u64) -> String {
    with_check(&format!("39521237{:09}", n % 1_000_000_000))
}

/// EAN-13 of item `n`, scanned at `station` alone.
pub fn item(station: u64, n: u64) -> String {
    with_check(&format!("9521230{:02}{:03}", station % 100, n % 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_those_of_gs1() {
        assert_eq!(with_check("39521234500000012"), "395212345000000125");
        assert_eq!(with_check("400638133393"), "4006381333931");
        assert_eq!((packed(1, 2).len(), sorted(3).len(), item(4, 5).len()), (18, 18, 13));
    }
}
