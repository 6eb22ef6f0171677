//! `auth` and `tls` of a `[[target]]`: how the gateway logs in, and with which certificates.

use std::path::PathBuf;

use crate::config::{Reading, files, target, tls};
use crate::form::{Entry, Table};
use crate::target::{ClientAuth, Login, OAuth, Own, Tls};

/// The ways to log in: a key that is always there, and those that go with it.
const WAYS: [(&str, &[&str]); 4] = [
    ("bearer_file", &[]),
    ("user", &["password_file"]),
    ("header", &["key_file"]),
    ("token_url", &["client_id", "client_secret_file", "scope", "audience", "client_auth"]),
];

/// Secrets themselves, and the key of the file that should hold them.
const SECRETS: [(&str, &str); 7] = [
    ("bearer", "bearer_file"),
    ("token", "bearer_file"),
    ("password", "password_file"),
    ("key", "key_file"),
    ("api_key", "key_file"),
    ("client_secret", "client_secret_file"),
    ("secret", "client_secret_file"),
];

/// Headers that the gateway itself writes.
const OURS: [&str; 11] = [
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "floorgate-contract",
    "host",
    "idempotency-key",
    "traceparent",
    "transfer-encoding",
    "user-agent",
];

/// What no login looks like.
const HELP: &str = "write auth = { bearer_file = \"…\" }, { user = \"…\", password_file = \"…\" }, { header = \"…\", key_file = \
                    \"…\" }, or { token_url = \"https://…\", client_id = \"…\", client_secret_file = \"…\" }";

/// `None` where there is no `auth`, and after a fault.
pub(super) fn login(target: &Table<'_>, reading: &Reading) -> Option<Login> {
    let auth = target.table("auth")?;
    for (key, file) in SECRETS {
        if auth.entry(key).is_some() {
            let help = format!("write it into a file that only the service may read, and `{file} = \"…\"` here");
            auth.refuse_key(key, "a secret does not belong in the configuration", &help);
        }
    }
    let mut said: Vec<(&str, &str)> = Vec::new();
    for (way, others) in WAYS {
        // All are asked for, so that each is known.
        let keys: Vec<&str> = [way].iter().chain(others).filter(|key| auth.entry(key).is_some()).copied().collect();
        said.extend(keys.first().map(|first| (way, *first)));
    }
    let Some((way, first)) = said.first() else {
        if SECRETS.iter().all(|(key, _)| auth.entry(key).is_none()) {
            target.refuse_key("auth", "says no way to log in", HELP);
        }
        return None;
    };
    if let Some((_, other)) = said.get(1) {
        auth.refuse_key(other, &format!("is of another way to log in than `{first}`"), "keep the keys of one of them");
        return None;
    }
    match *way {
        "bearer_file" => bearer(&auth, reading),
        "user" => basic(&auth, reading),
        "header" => api_key(&auth, reading),
        _ => oauth(&auth, reading),
    }
}

fn bearer(auth: &Table<'_>, reading: &Reading) -> Option<Login> {
    let entry = auth.entry("bearer_file")?;
    let token_file = secret(&entry, reading, "token", |token| {
        let plain = token.bytes().all(|b| b.is_ascii_graphic());
        if plain { Ok(()) } else { Err("a token is one line of visible ASCII") }
    })?;
    Some(Login::Bearer { token_file })
}

fn basic(auth: &Table<'_>, reading: &Reading) -> Option<Login> {
    let user = auth.required_entry_as("user", "add `user = \"…\"`: whose password it is");
    let password = auth.required_entry_as("password_file", "add `password_file = \"…\"`: where the password stands");
    let password_file = password.and_then(|entry| secret(&entry, reading, "password", one_line));
    let user = user.and_then(|entry| {
        let user: String = entry.read()?;
        if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
            entry.refuse(&format!("\"{user}\" can't be a user"), "write a name without colons and control characters");
            return None;
        }
        Some(user)
    });
    Some(Login::Basic { user: user?, password_file: password_file? })
}

fn api_key(auth: &Table<'_>, reading: &Reading) -> Option<Login> {
    let header = auth.required_entry_as("header", "add `header = \"X-Api-Key\"`: what the target reads the key from");
    let key = auth.required_entry_as("key_file", "add `key_file = \"…\"`: where the key stands");
    let key_file = key.and_then(|entry| {
        secret(&entry, reading, "key", |key| {
            let plain = key.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
            if plain { Ok(()) } else { Err("a key is one line of visible ASCII") }
        })
    });
    let header = header.and_then(|entry| {
        let name: String = entry.read()?;
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            entry.refuse(&format!("\"{name}\" is no name of a header"), "write letters, digits and `-`: \"X-Api-Key\"");
            return None;
        }
        let name = name.to_ascii_lowercase();
        if OURS.contains(&name.as_str()) {
            entry.refuse(&format!("the gateway itself writes \"{name}\""), "name the header that holds the key");
            return None;
        }
        Some(name)
    });
    Some(Login::ApiKey { header: header?, key_file: key_file? })
}

fn oauth(auth: &Table<'_>, reading: &Reading) -> Option<Login> {
    let token_url = auth
        .required_entry_as("token_url", "add `token_url = \"https://…\"`: where tokens are given")
        .and_then(|entry| target::address(&entry, reading, "the client's secret travels in clear to another machine"));
    let client_id = auth.required_entry_as("client_id", "add `client_id = \"…\"`: whose secret it is");
    let client_id = client_id.and_then(|entry| named(&entry));
    let help = "add `client_secret_file = \"…\"`: where the client's secret stands";
    let client_secret_file = auth.required_entry_as("client_secret_file", help);
    let client_secret_file = client_secret_file.and_then(|entry| secret(&entry, reading, "secret", one_line));
    let scope = auth.entry("scope").map(|entry| named(&entry));
    let audience = auth.entry("audience").map(|entry| named(&entry));
    let words = [("basic", ClientAuth::Basic), ("body", ClientAuth::Body)];
    let client_auth = auth.entry("client_auth").map_or(Some(ClientAuth::Basic), |entry| entry.choice(&words));
    Some(Login::OAuth(OAuth {
        token_url: token_url?,
        client_id: client_id?,
        client_secret_file: client_secret_file?,
        scope: scope.map_or(Some(None), |scope| scope.map(Some))?,
        audience: audience.map_or(Some(None), |audience| audience.map(Some))?,
        client_auth: client_auth?,
    }))
}

fn named(entry: &Entry<'_>) -> Option<String> {
    let text: String = entry.read()?;
    if text.is_empty() || text.chars().any(char::is_control) {
        entry.refuse("is empty or holds control characters", "write it as the token server knows it, or remove it");
        return None;
    }
    Some(text)
}

fn one_line(secret: &str) -> Result<(), &'static str> {
    if secret.chars().any(char::is_control) { Err("a secret is one line without control characters") } else { Ok(()) }
}

/// The file of a secret, looked at; who else may read it is told.
fn secret(
    entry: &Entry<'_>,
    reading: &Reading,
    what: &str,
    fits: impl Fn(&str) -> Result<(), &'static str>,
) -> Option<PathBuf> {
    let path = reading.path(&entry.read::<String>()?);
    let read = files::secret(&path).and_then(|secret| fits(&secret).map_err(str::to_owned));
    if let Err(why) = read {
        let help = format!("name a file that holds the {what} and nothing else");
        entry.refuse(&format!("{}: {why}", path.display()), &help);
        return None;
    }
    files::private(entry, reading, &path);
    Some(path)
}

/// `tls = { ca_file, cert_file, key_file }`. `None`: a fault was told.
pub(super) fn certificates(target: &Table<'_>, reading: &Reading) -> Option<Tls> {
    let Some(table) = target.table("tls") else { return Some(Tls::default()) };
    let [ca_file, cert_file, key_file] = [
        ("ca_file", "CERTIFICATE-----", "the CA's certificates"),
        ("cert_file", "CERTIFICATE-----", "our certificate"),
        ("key_file", "PRIVATE KEY-----", "the private key of cert_file, without a passphrase"),
    ]
    .map(|(key, holds, what)| table.entry(key).map(|entry| pem(&entry, reading, holds, what)));
    let own = match tls::together(&table, cert_file, key_file)? {
        Some((cert_file, key_file)) => {
            if let (Some(entry), Some(path)) = (table.entry("key_file"), &key_file) {
                files::private(&entry, reading, path);
            }
            Some(Own { cert_file: cert_file?, key_file: key_file? })
        }
        None => None,
    };
    let made = Tls { ca_file: ca_file.map_or(Some(None), |file| file.map(Some))?, own };
    tls::ageing_of_target(&table, reading, &made);
    Some(made)
}

fn pem(entry: &Entry<'_>, reading: &Reading, holds: &str, what: &str) -> Option<PathBuf> {
    let path = reading.path(&entry.read::<String>()?);
    let help = format!("name a PEM file with {what}");
    match files::text(&path) {
        Ok(pem) if pem.contains("-----BEGIN ") && pem.contains(holds) => Some(path),
        Ok(_) => {
            let what = if holds.starts_with("PRIVATE") { "no private key" } else { "no certificate" };
            entry.refuse(&format!("{} holds {what}", path.display()), &help);
            None
        }
        Err(why) => {
            entry.refuse(&format!("{}: {why}", path.display()), &help);
            None
        }
    }
}
