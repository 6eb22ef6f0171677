use std::fs;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

use super::*;

const NOW: &str = "2026-03-01T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    /// A CA with a certificate of ours, which ends on that day of 2026.
    fn new(until: (u8, u8)) -> Self {
        let dir = tempfile::tempdir().expect("a temp folder");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).expect("a certificate");
        fs::write(dir.path().join("ca.pem"), ca.pem()).expect("a file");
        let issuer = Issuer::new(params, key);
        let own = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["gw".to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, until.0, until.1);
        let certificate = params.signed_by(&own, &issuer).expect("a certificate");
        fs::write(dir.path().join("gw.pem"), certificate.pem()).expect("a file");
        fs::write(dir.path().join("gw.key"), own.serialize_pem()).expect("a file");
        Self { dir }
    }

    fn tls(&self) -> Tls {
        let path = |name: &str| self.dir.path().join(name);
        let own = Some(Own { cert_file: path("gw.pem"), key_file: path("gw.key") });
        Tls { ca_file: path("ca.pem"), own, warn_before_expiry: Duration::from_hours(30 * 24) }
    }

    /// What is told of the files after one of them was written.
    fn with(&self, name: &str, text: &str) -> String {
        fs::write(self.dir.path().join(name), text).expect("a file");
        let why = self.tls().client().expect_err("it can't be used");
        why.strip_prefix(&format!("{}/", self.dir.path().display())).map(str::to_owned).unwrap_or(why)
    }
}

#[test]
fn the_files_are_read_each_time_and_told_by_name_when_they_are_wrong() {
    let files = Files::new((12, 31));
    assert!(files.tls().client().is_ok());
    let key = fs::read_to_string(files.dir.path().join("gw.key")).expect("a file");
    let other = KeyPair::generate().expect("a key").serialize_pem();
    let told = files.with("gw.key", &other);
    assert_eq!(told, format!("gw.key: not the key of {}/gw.pem", files.dir.path().display()));
    assert_eq!(files.with("gw.key", ""), "gw.key: no private key in PEM without a passphrase");
    fs::write(files.dir.path().join("gw.key"), key).expect("a file");
    assert!(files.tls().client().is_ok(), "the right one again");
    assert_eq!(files.with("ca.pem", "nonsense"), "ca.pem: no certificate in PEM is in it");
    assert!(files.with("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n").starts_with("ca.pem: not PEM"));
    fs::remove_file(files.dir.path().join("ca.pem")).expect("a file");
    let gone = files.tls().client().expect_err("it is gone");
    assert!(gone.ends_with("ca.pem: there is no such file"), "{gone}");
}

#[test]
fn certificates_are_told_before_they_end() {
    let ageing = |until: (u8, u8), at: &str| {
        let files = Files::new(until);
        let told = files.tls().ageing(at.parse().expect("a time"));
        told.into_iter().map(|(path, why)| (path.ends_with("gw.pem"), why)).collect::<Vec<_>>()
    };
    let one = |why: &str| vec![(true, why.to_owned())];
    assert_eq!(ageing((4, 1), NOW), []);
    assert_eq!(ageing((3, 31), NOW), []);
    assert_eq!(ageing((3, 30), NOW), one("a certificate expires on 2026-03-30 00:00 UTC, in 29 days"));
    assert_eq!(ageing((2, 28), NOW), one("a certificate expired on 2026-02-28 00:00 UTC"));
    assert_eq!(ageing((4, 1), "2025-12-31T00:00:00Z"), one("a certificate is valid from 2026-01-01 00:00 UTC only"));
}

#[test]
fn what_went_wrong_is_told_in_words() {
    let tls = Tls { ca_file: "ca.pem".into(), own: None, warn_before_expiry: Duration::ZERO };
    let own = Own { cert_file: "gw.pem".into(), key_file: "gw.key".into() };
    let with_own = Tls { own: Some(own), ..tls.clone() };
    let day = |text: &str| {
        let at: Timestamp = text.parse().expect("a time");
        UnixTime::since_unix_epoch(Duration::from_secs(at.as_second().try_into().expect("after 1970")))
    };
    let certificate = rustls::Error::InvalidCertificate;
    let (time, not_after, not_before) = (day(NOW), day("2026-02-01T00:00:00Z"), day("2026-05-01T00:00:00Z"));
    for (error, tls, expected) in [
        (
            certificate(CertificateError::ExpiredContext { time, not_after }),
            &tls,
            "the broker's certificate expired on 2026-02-01 00:00 UTC; our clock says 2026-03-01 00:00 UTC: renew it at \
             the broker",
        ),
        (
            certificate(CertificateError::NotValidYetContext { time, not_before }),
            &tls,
            "the broker's certificate is valid from 2026-05-01 00:00 UTC, and our clock says 2026-03-01 00:00 UTC: is it \
             set?",
        ),
        (
            certificate(CertificateError::UnknownIssuer),
            &tls,
            "the broker's certificate is not signed by the CA in ca.pem: another broker, or another CA",
        ),
        (
            rustls::Error::AlertReceived(AlertDescription::CertificateExpired),
            &with_own,
            "the broker says that our certificate in gw.pem expired: renew it",
        ),
        (
            rustls::Error::AlertReceived(AlertDescription::UnknownCA),
            &with_own,
            "the broker refuses us (UnknownCA): does it know what signed gw.pem?",
        ),
        (
            rustls::Error::AlertReceived(AlertDescription::CertificateRequired),
            &tls,
            "the broker asks for a certificate of ours: write tls.cert_file and tls.key_file",
        ),
    ] {
        let carried = io::Error::new(io::ErrorKind::InvalidData, error);
        assert_eq!(tls.explain(&carried, "broker", now()).as_deref(), Some(expected));
    }
    assert_eq!(tls.explain(&io::Error::other("no TLS in it"), "broker", now()), None);
}
