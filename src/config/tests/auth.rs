//! `auth` and `tls` of a target.

use super::*;
use crate::target::{ClientAuth, Login, OAuth, Own};

/// The shipped file with this instead of its line of `auth`, and some files beside it.
fn site(auth: &str) -> Site {
    let site = Site::new(&edited(&[("# auth = { bearer_file = \"/run/credentials/floorgate.service/erp\" }", auth)]));
    site.file("secret", "open sesame\n", 0o600);
    site.file("two-lines", "open\nsesame\n", 0o600);
    site.file("open", "open sesame\n", 0o644);
    site.file("ca.pem", "-----BEGIN CERTIFICATE-----\n", 0o644);
    site.file("gw.pem", "-----BEGIN CERTIFICATE-----\n", 0o644);
    site.file("gw.key", "-----BEGIN PRIVATE KEY-----\n", 0o644);
    site
}

fn with(auth: &str) -> String {
    site(auth).told()
}

#[test]
fn there_are_four_ways_to_log_in() {
    let read = |auth: &str| {
        let site = site(auth);
        let path = |name: &str| site.0.path().join(name);
        let config = site.check().config.unwrap_or_else(|faults| panic!("{auth}: {faults:?}"));
        (config.targets[0].login.clone(), path("secret"))
    };
    let (login, password_file) = read(r#"auth = { user = "gw 7", password_file = "secret" }"#);
    assert_eq!(login, Some(Login::Basic { user: "gw 7".into(), password_file }));
    let (login, key_file) = read(r#"auth = { header = "X-Api-Key", key_file = "secret" }"#);
    assert_eq!(login, Some(Login::ApiKey { header: "x-api-key".into(), key_file }));
    let (login, client_secret_file) = read(
        r#"auth = { token_url = "https://id.example.com/token", client_id = "gw", client_secret_file = "secret", scope = "a b", client_auth = "body" }"#,
    );
    let oauth = OAuth {
        token_url: "https://id.example.com/token".into(),
        client_id: "gw".into(),
        client_secret_file,
        scope: Some("a b".into()),
        audience: None,
        client_auth: ClientAuth::Body,
    };
    assert_eq!(login, Some(Login::OAuth(oauth)));
}

#[test]
fn keys_of_a_login_stand_together() {
    insta::assert_snapshot!(with(r#"auth = { user = "gw" }"#), @r#"gateway.toml:60:8: target[1].auth.password_file: is missing (add `password_file = "…"`: where the password stands)"#);
    insta::assert_snapshot!(with(r#"auth = { key_file = "secret" }"#), @r#"gateway.toml:60:8: target[1].auth.header: is missing (add `header = "X-Api-Key"`: what the target reads the key from)"#);
    insta::assert_snapshot!(with(r#"auth = { user = "gw", password_file = "secret", bearer_file = "secret" }"#), @"gateway.toml:60:17: target[1].auth.user: is of another way to log in than `bearer_file` (keep the keys of one of them)");
    insta::assert_snapshot!(with(r#"auth = { token_url = "https://id", client_id = "gw" }"#), @r#"gateway.toml:60:8: target[1].auth.client_secret_file: is missing (add `client_secret_file = "…"`: where the client's secret stands)"#);
    insta::assert_snapshot!(with("auth = {}"), @r#"gateway.toml:60:8: target[1].auth: says no way to log in (write auth = { bearer_file = "…" }, { user = "…", password_file = "…" }, { header = "…", key_file = "…" }, or { token_url = "https://…", client_id = "…", client_secret_file = "…" })"#);
}

#[test]
fn a_login_that_cannot_be_is_a_fault() {
    insta::assert_snapshot!(with(r#"auth = { user = "gw:7", password_file = "two-lines" }"#), @r#"
    gateway.toml:60:17: target[1].auth.user: "gw:7" can't be a user (write a name without colons and control characters)
    gateway.toml:60:41: target[1].auth.password_file: two-lines: a secret is one line without control characters (name a file that holds the password and nothing else)
    "#);
    insta::assert_snapshot!(with(r#"auth = { header = "Content-Type", key_file = "open" }"#), @r#"
    gateway.toml:60:19: target[1].auth.header: the gateway itself writes "content-type" (name the header that holds the key)
    warning: gateway.toml:60:46: target[1].auth.key_file: open may be read by everyone (chmod 0600, owned by the service's user)
    "#);
    insta::assert_snapshot!(with(r#"auth = { header = "X Key", key_file = "none" }"#), @r#"
    gateway.toml:60:19: target[1].auth.header: "X Key" is no name of a header (write letters, digits and `-`: "X-Api-Key")
    gateway.toml:60:39: target[1].auth.key_file: none: there is no such file (name a file that holds the key and nothing else)
    "#);
    insta::assert_snapshot!(with(r#"auth = { token_url = "http://id.example.com/token", client_id = "", client_secret = "open", client_secret_file = "secret", client_auth = "jwt" }"#), @r#"
    gateway.toml:60:65: target[1].auth.client_id: is empty or holds control characters (write it as the token server knows it, or remove it)
    gateway.toml:60:85: target[1].auth.client_secret: a secret does not belong in the configuration (write it into a file that only the service may read, and `client_secret_file = "…"` here)
    gateway.toml:60:138: target[1].auth.client_auth: "jwt" is not known here (one of "basic", "body")
    warning: gateway.toml:60:22: target[1].auth.token_url: the client's secret travels in clear to another machine (use https://)
    "#);
}

#[test]
fn certificates_of_our_own_come_with_their_key() {
    let tls = r#"tls = { ca_file = "ca.pem", cert_file = "gw.pem", key_file = "gw.key" }"#;
    insta::assert_snapshot!(with(tls), @"warning: gateway.toml:60:62: target[1].tls.key_file: gw.key may be read by everyone (chmod 0600, owned by the service's user)");
    let site = site(tls);
    let path = |name: &str| site.0.path().join(name);
    let made = site.check().config.expect("a warning is no fault").targets[0].tls.clone();
    assert_eq!(made.ca_file, Some(path("ca.pem")));
    assert_eq!(made.own, Some(Own { cert_file: path("gw.pem"), key_file: path("gw.key") }));
    insta::assert_snapshot!(with(r#"tls = { cert_file = "gw.pem" }"#), @"gateway.toml:60:7: target[1].tls.key_file: is missing (name the file with the private key of cert_file)");
    insta::assert_snapshot!(with(r#"tls = { cert_file = "secret", key_file = "gw.pem" }"#), @"
    gateway.toml:60:21: target[1].tls.cert_file: secret holds no certificate (name a PEM file with our certificate)
    gateway.toml:60:42: target[1].tls.key_file: gw.pem holds no private key (name a PEM file with the private key of cert_file, without a passphrase)
    ");
}
