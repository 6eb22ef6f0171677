//! Who we are to a target: its credentials, read from their files for each request.
//!
//! A secret is in a file, in the header of a request, and nowhere else: [`Secret`] prints as dots, headers are marked as
//! sensitive, and what a target says is cleared of what it was shown ([`Pass::clear`]).

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::header::{self, HeaderName, HeaderValue};

/// Bytes of a file with a secret.
const MAX_SECRET: u64 = 64 << 10;

/// What stands for a secret that a target repeats. Shorter ones are no secrets, and would blot out common words.
const BLOT: &str = "[secret]";
const SHORTEST: usize = 6;

/// How the gateway logs in at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer {
        /// Holds the token.
        token_file: PathBuf,
    },
    /// `Authorization: Basic …` (RFC 7617).
    Basic {
        /// Without a colon.
        user: String,
        /// Holds the password.
        password_file: PathBuf,
    },
    /// A header of the target's own.
    ApiKey {
        /// The header's name, in lower case.
        header: String,
        /// Holds the header's whole value.
        key_file: PathBuf,
    },
    /// A token that another server gives for an hour or so (RFC 6749, 4.4).
    OAuth(OAuth),
}

impl Login {
    /// Which credentials these are, in the words of the configuration.
    pub fn named(&self) -> String {
        match self {
            Self::Bearer { token_file } => format!("bearer_file {}", token_file.display()),
            Self::Basic { user, password_file } => format!("user {user}, password_file {}", password_file.display()),
            Self::ApiKey { header, key_file } => format!("header {header}, key_file {}", key_file.display()),
            Self::OAuth(OAuth { token_url, client_id, .. }) => {
                format!("client_id {client_id} at token_url {token_url}")
            }
        }
    }
}

/// OAuth 2.0 client credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth {
    /// Where tokens are given.
    pub token_url: String,
    /// Who asks.
    pub client_id: String,
    /// Holds the client's secret.
    pub client_secret_file: PathBuf,
    /// What for, words with spaces between.
    pub scope: Option<String>,
    /// Whom the token is for, where the server wants to know.
    pub audience: Option<String>,
    /// How id and secret are shown.
    pub client_auth: ClientAuth,
}

/// Where a client shows its secret (RFC 6749, 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// In `Authorization: Basic …`, what each server has to take.
    Basic,
    /// In the body.
    Body,
}

/// A text that nobody prints.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl Secret {
    /// The secret of a file, without the line end behind it. A page of a local file: read in place.
    ///
    /// # Errors
    /// Which file, and why.
    pub(super) fn read(what: &str, path: &Path) -> Result<Self, String> {
        let fault = |why: &str| format!("{what} file {}: {why}", path.display());
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_SECRET).read_to_string(&mut text))
            .map_err(|error| fault(&error.to_string()))?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.trim().is_empty() {
            return Err(fault("it is empty"));
        }
        if text.chars().any(char::is_control) {
            return Err(fault("it holds characters that no HTTP header can carry"));
        }
        Ok(Self(text.to_owned()))
    }

    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// The text without this secret, as it is or as JSON, an address or a form spell it.
    pub(super) fn clear(&self, text: &str) -> String {
        if self.0.len() < SHORTEST {
            return text.to_owned();
        }
        let text = text.replace(&self.0, BLOT);
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(next) = rest.chars().next() {
            if let Some(length) = spelled(rest, &self.0) {
                out.push_str(BLOT);
                rest = &rest[length..];
            } else {
                out.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        out
    }
}

/// The length of what `text` begins with, if that is `secret`, each character in whatever spelling.
fn spelled(text: &str, secret: &str) -> Option<usize> {
    let end = secret.chars().try_fold(text, |text, c| spelled_one(text, c))?;
    Some(text.len() - end.len())
}

/// What is behind `c`: as `\/`, as `\u002f` (RFC 8259, 7), as `%2F` (RFC 3986, 2.1), as `+` for a blank, or as it is.
fn spelled_one(text: &str, c: char) -> Option<&str> {
    if let Some(escaped) = text.strip_prefix('\\') {
        let code = || escaped.strip_prefix('u')?.split_at_checked(4);
        if let Some((_, rest)) = code().filter(|(hex, _)| u32::from_str_radix(hex, 16) == Ok(u32::from(c))) {
            return Some(rest);
        }
        if let Some(rest) = escaped.strip_prefix(c).filter(|_| matches!(c, '/' | '"' | '\\')) {
            return Some(rest);
        }
    }
    let percent = |text: &'_ str, byte: &u8| -> Option<usize> {
        let (hex, rest) = text.strip_prefix('%')?.split_at_checked(2)?;
        (u8::from_str_radix(hex, 16) == Ok(*byte)).then_some(rest.len())
    };
    let mut utf8 = [0; 4];
    let bytes = c.encode_utf8(&mut utf8).as_bytes();
    let encoded = bytes.iter().try_fold(text, |text, byte| percent(text, byte).map(|left| &text[text.len() - left..]));
    encoded.or_else(|| text.strip_prefix(c)).or_else(|| text.strip_prefix('+').filter(|_| c == ' '))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// What one request shows.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    pub(super) name: HeaderName,
    pub(super) value: HeaderValue,
    secrets: Vec<Secret>,
    /// Of a token: the how-many-th it is.
    pub(super) token: Option<u64>,
}

impl Pass {
    /// `Authorization: Bearer …`.
    pub(super) fn bearer(token: &Secret) -> Result<Self, String> {
        let token = Secret::new(token.text().trim());
        Self::new(header::AUTHORIZATION, &format!("Bearer {}", token.text()), vec![token])
    }

    /// `Authorization: Basic …`; UTF-8, as RFC 7617 wishes.
    pub(super) fn basic(user: &str, password: Secret) -> Result<Self, String> {
        let pair = Secret::new(BASE64.encode(format!("{user}:{}", password.text())));
        Self::new(header::AUTHORIZATION, &format!("Basic {}", pair.text()), vec![password, pair])
    }

    fn new(name: HeaderName, value: &str, secrets: Vec<Secret>) -> Result<Self, String> {
        let value = HeaderValue::from_str(value);
        let mut value = value.map_err(|_| "a secret holds characters that no HTTP header can carry".to_owned())?;
        value.set_sensitive(true);
        Ok(Self { name, value, secrets, token: None })
    }

    /// What the files of a login say now; `None` for a token, which is asked for.
    pub(super) fn of(login: &Login) -> Result<Option<Self>, String> {
        Ok(Some(match login {
            Login::Bearer { token_file } => Self::bearer(&Secret::read("bearer token", token_file)?)?,
            Login::Basic { user, password_file } => Self::basic(user, Secret::read("password", password_file)?)?,
            Login::ApiKey { header, key_file } => {
                let key = Secret::read("API key", key_file)?;
                let name = HeaderName::try_from(header).map_err(|_| format!("\"{header}\" is no name of a header"))?;
                let key = Secret::new(key.text().trim());
                // `Token abc…`: the word before it is none.
                let last = Secret::new(key.text().rsplit(' ').next().unwrap_or_default());
                Self::new(name, key.text(), vec![key.clone(), last])?
            }
            Login::OAuth(_) => return Ok(None),
        }))
    }

    /// The same kind of credentials, and wrong: for looking whether they are refused.
    pub(super) fn wrong(login: &Login, wrong: &str) -> Result<Self, String> {
        let secret = Secret::new(wrong);
        match login {
            Login::Bearer { .. } | Login::OAuth(_) => Self::bearer(&secret),
            Login::Basic { user, .. } => Self::basic(user, secret),
            Login::ApiKey { header, .. } => {
                let name = HeaderName::try_from(header).map_err(|_| format!("\"{header}\" is no name of a header"))?;
                Self::new(name, wrong, vec![secret])
            }
        }
    }

    /// Bytes of an answer without the secrets that its request has shown: some targets repeat them in their errors.
    pub(super) fn clear(&self, body: Vec<u8>) -> Vec<u8> {
        let text = String::from_utf8_lossy(&body);
        let clear = self.clear_text(&text);
        if clear == text { body } else { clear.into_bytes() }
    }

    /// A text without these secrets.
    pub(super) fn clear_text(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| secret.clear(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn each_login_has_its_header_and_shows_it_to_nobody() {
        let secret = file("open sesame\n");
        let at = || secret.path().to_owned();
        for (login, name, value) in [
            (Login::Bearer { token_file: at() }, "authorization", "Bearer open sesame"),
            // RFC 7617, 2: user "Aladdin", password "open sesame".
            (
                Login::Basic { user: "Aladdin".into(), password_file: at() },
                "authorization",
                "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            ),
            (Login::ApiKey { header: "x-api-key".into(), key_file: at() }, "x-api-key", "open sesame"),
        ] {
            let pass = Pass::of(&login).unwrap().unwrap();
            assert_eq!((pass.name.as_str(), pass.value.to_str().unwrap()), (name, value));
            let shown = format!("{pass:?} {login:?}");
            assert!(!shown.contains("sesame") && !shown.contains("QWxhZGRp"), "{shown}");
            let said = format!("{{\"detail\":\"{value} is unknown\"}}");
            let clear = String::from_utf8(pass.clear(said.into_bytes())).unwrap();
            assert!(clear.ends_with("[secret] is unknown\"}") && !clear.contains("sesame"), "{clear}");
            let wrong = Pass::wrong(&login, "wrong one").unwrap();
            assert!(wrong.name == pass.name && wrong.value != pass.value);
        }
    }

    #[test]
    fn a_secret_is_cleared_however_it_is_spelled() {
        let file = file("ab/cdef+gh== \t\n".trim_end_matches(['\t', '\n']));
        let pass = Pass::of(&Login::Bearer { token_file: file.path().to_owned() }).unwrap().unwrap();
        for said in [
            "ab/cdef+gh==",
            r"ab\/cdef+gh==",
            r"ab\u002Fcdef\u002bgh\u003d=",
            "ab%2Fcdef%2bgh%3D%3d",
            r"ab\/cdef%2Bgh=\u003d",
            r"\u0061b/cdef+gh==",
        ] {
            let said = format!("{{\"detail\":\"the token {said} is no good\"}}");
            assert_eq!(pass.clear_text(&said), "{\"detail\":\"the token [secret] is no good\"}", "{said}");
        }
        for other in ["ab/cdef gh==", r"ab\/cdef+gh=", "ab%2Fcdef%2bgh%3D", "abcdef %2", "\\u00", "ä%", "%ä1"] {
            assert_eq!(pass.clear_text(other), other);
        }
        let password = Pass::basic("gw", Secret::new("pass wörd\"\\")).unwrap();
        for said in ["pass wörd\"\\", r#"pass wörd\"\\"#, "pass+w%C3%B6rd%22%5C", r"pass w\u00f6rd\u0022\u005C"] {
            assert_eq!(password.clear_text(said), "[secret]", "{said}");
        }
    }

    #[test]
    fn a_file_without_a_usable_secret_is_named() {
        for (text, why) in [("", "it is empty"), ("\r\n", "it is empty"), ("a\nb", "no HTTP header can carry")] {
            let file = file(text);
            let told = Secret::read("password", file.path()).unwrap_err();
            assert!(told.starts_with(&format!("password file {}: ", file.path().display())), "{told}");
            assert!(told.contains(why), "{told}");
        }
    }
}
