//! How long an X.509 certificate is valid: the one thing of it that people are warned about beforehand.
//!
//! Reads the two times of RFC 5280, section 4.1, and nothing else: whether a certificate is genuine is for TLS to say.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`: the version, where it is not the first.
const VERSION: u8 = 0xa0;

/// From when until when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    /// Not before.
    pub(super) from: Timestamp,
    /// Not after.
    pub(super) until: Timestamp,
}

/// The validity of a certificate in DER; `None` when it can't be read.
pub(super) fn validity(der: &[u8]) -> Option<Validity> {
    let mut rest = Der(Der(der).one(SEQUENCE)?).one(SEQUENCE).map(Der)?;
    if rest.0.first() == Some(&VERSION) {
        rest.one(VERSION)?;
    }
    rest.one(INTEGER)?; // serial number
    rest.one(SEQUENCE)?; // signature algorithm
    rest.one(SEQUENCE)?; // issuer
    let mut times = Der(rest.one(SEQUENCE)?);
    Some(Validity { from: times.time()?, until: times.time()? })
}

/// What is left of a DER encoding.
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    /// The content of the next value, which must have that tag.
    fn one(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (found, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match *first {
            short @ 0..0x80 => (usize::from(short), rest),
            long => {
                let bytes = usize::from(long & 0x7f);
                if bytes > 4 {
                    return None;
                }
                let (length, rest) = rest.split_at_checked(bytes)?;
                (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (*found == tag).then_some(content)
    }

    /// `YYMMDDHHMMSSZ` (of 1950 to 2049) or `YYYYMMDDHHMMSSZ`.
    fn time(&mut self) -> Option<Timestamp> {
        let text = match self.0.first()? {
            &UTC_TIME => {
                let short = std::str::from_utf8(self.one(UTC_TIME)?).ok()?;
                let century = if short.get(..2)? < "50" { "20" } else { "19" };
                format!("{century}{short}")
            }
            _ => std::str::from_utf8(self.one(GENERALIZED_TIME)?).ok()?.to_owned(),
        };
        let civil = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
        TimeZone::UTC.to_timestamp(civil).ok()
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    fn made(until: (i32, u8, u8)) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(["broker".to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(1999, 2, 28);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        let key = rcgen::KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().to_vec()
    }

    #[test]
    fn both_times_are_read_in_either_form() {
        let from: Timestamp = "1999-02-28T00:00:00Z".parse().unwrap();
        for (until, expected) in [((2049, 12, 31), "2049-12-31T00:00:00Z"), ((2050, 1, 1), "2050-01-01T00:00:00Z")] {
            let read = validity(&made(until));
            assert_eq!(read, Some(Validity { from, until: expected.parse().unwrap() }));
        }
        let other = CertificateDer::from_pem_slice(include_bytes!("../target/http/test-ca.pem")).unwrap();
        assert!(validity(&other).is_some(), "one that openssl made");
    }

    #[test]
    fn what_is_cut_off_says_nothing() {
        let whole = made((2030, 1, 1));
        for end in 0..120 {
            assert_eq!(validity(&whole[..end]), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_not(bytes: Vec<u8>) {
            let _: Option<Validity> = validity(&bytes);
        }
    }
}
