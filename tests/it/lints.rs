//! What `floorgate check` refuses or doubts. Each folder of `tests/lints` is a configuration that is wrong in one way, with
//! what is told of it (`expected.txt`) and the smallest edits that make it right (`near-miss.toml`). `docs/checks.md` says
//! of each why, and what to do.
//!
//! `FLOORGATE_RENEW=1 cargo test --test it lints` writes what is told now into both.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use regex::Regex;

const DOCS: &str = "docs/checks.md";
const DAY: Duration = Duration::from_hours(24);

/// `near-miss.toml`.
#[derive(serde::Deserialize)]
struct NearMiss {
    #[serde(default)]
    edit: Vec<Edit>,
    /// Files that their owner alone may read.
    #[serde(default)]
    private: Vec<String>,
}

/// Text that stands in a file once, and what stands there instead.
#[derive(serde::Deserialize)]
struct Edit {
    file: String,
    from: String,
    to: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Names of the folders.
fn names() -> BTreeSet<String> {
    let folders = fs::read_dir(root().join("tests/lints")).expect("the folder of the examples");
    folders.map(|folder| folder.expect("it can be read").file_name().into_string().expect("a plain name")).collect()
}

/// A copy of an example, edited; certificates are made on the way: `ca.pem.days` says how long `ca.pem` is valid.
fn copy(from: &Path, to: &Path, near: &NearMiss) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the example") {
        let path = entry.expect("it can be read").path();
        let (name, target) = (path.file_name().expect("a file"), to.join(path.file_name().expect("a file")));
        if path.is_symlink() {
            symlink(fs::read_link(&path).expect("where it leads"), target).expect("a link");
        } else if path.is_dir() {
            copy(&path, &target, near);
        } else {
            let mut text = fs::read_to_string(&path).expect("a text");
            for edit in near.edit.iter().filter(|edit| path.ends_with(&edit.file)) {
                assert_eq!(text.matches(&edit.from).count(), 1, "{} in {}", edit.from, path.display());
                text = text.replace(&edit.from, &edit.to);
            }
            if path.extension().is_some_and(|end| end == "days") {
                certificate(&target.with_extension(""), text.trim().parse().expect("days"));
                continue;
            }
            fs::write(&target, text).expect("a file");
            let private = near.private.iter().any(|private| **private == *name);
            permit(&target, if private { 0o600 } else { 0o644 });
        }
    }
}

fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its permissions");
}

/// A certificate that ends half a day after so many days, and its key beside it.
fn certificate(path: &Path, days: u32) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(["broker.dc1".to_owned()]).expect("a name");
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = (SystemTime::now() + DAY * days + DAY / 2).into();
    let certificate = params.self_signed(&key).expect("a certificate");
    fs::write(path, certificate.pem()).expect("a file");
    fs::write(path.with_extension("key"), key.serialize_pem()).expect("a file");
    permit(&path.with_extension("key"), 0o600);
}

/// What `check` tells of a folder's configuration, without the summary behind it, and how it ends.
fn told(folder: &Path) -> (String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_floorgate"))
        .args(["check", "--config", "gateway.toml"])
        .current_dir(folder)
        .output()
        .expect("floorgate runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let findings: String = text.split_inclusive('\n').take_while(|line| !line.starts_with("site ")).collect();
    let date = Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC").expect("a pattern");
    (date.replace_all(&findings, "DATE").into_owned(), output.status.code())
}

fn renews() -> bool {
    std::env::var_os("FLOORGATE_RENEW").is_some()
}

#[test]
fn each_lint_fails_has_a_near_miss_and_stands_on_the_page() {
    examples();
    page();
}

/// Each example fails as it says, and its near miss is clean.
fn examples() {
    let mut wrong = Vec::new();
    for name in names() {
        let folder = root().join("tests/lints").join(&name);
        let dir = tempfile::tempdir().expect("a temp directory");
        let as_it_is = NearMiss { edit: Vec::new(), private: Vec::new() };
        copy(&folder, &dir.path().join("wrong"), &as_it_is);
        let (findings, code) = told(&dir.path().join("wrong"));
        let expected = folder.join("expected.txt");
        if renews() {
            fs::write(&expected, &findings).expect("the example can be written");
        }
        if findings != fs::read_to_string(&expected).unwrap_or_default() || findings.is_empty() {
            wrong.push(format!("{name} is told as:\n{findings}"));
        }
        let faults = findings.lines().filter(|line| !line.contains(": warning: ")).count();
        if code != Some(if faults > 0 { 78 } else { 0 }) {
            wrong.push(format!("{name} ends with {code:?}"));
        }
        let near = fs::read_to_string(folder.join("near-miss.toml")).expect("each example has its near miss");
        let near: NearMiss = toml::from_str(&near).expect("the near miss can be read");
        copy(&folder, &dir.path().join("right"), &near);
        let (findings, code) = told(&dir.path().join("right"));
        if (findings.as_str(), code) != ("", Some(0)) {
            wrong.push(format!("the near miss of {name} is told ({code:?}):\n{findings}"));
        }
    }
    assert!(wrong.is_empty(), "{}\n(FLOORGATE_RENEW=1 takes over what is told)", wrong.join("\n"));
}

/// The page has each of them, with what is told.
fn page() {
    let path = root().join(DOCS);
    let text = fs::read_to_string(&path).expect("the page");
    let mut renewed = String::new();
    let mut named = BTreeSet::new();
    for (i, section) in text.split("\n### ").enumerate() {
        if i == 0 {
            renewed.push_str(section);
            continue;
        }
        let name = section.lines().next().unwrap_or_default().trim_matches('`').to_owned();
        let expected = fs::read_to_string(root().join("tests/lints").join(&name).join("expected.txt"));
        let expected = expected.unwrap_or_else(|e| panic!("{DOCS} has `{name}`, the examples have not: {e}"));
        let (before, rest) = section.split_once("```text\n").expect("each lint shows what is told");
        let (_, after) = rest.split_once("```").expect("the block ends");
        renewed.extend(["\n### ", before, "```text\n", &expected, "```", after]);
        named.insert(name);
    }
    assert_eq!(named, names(), "the page and the examples");
    if renews() {
        fs::write(&path, &renewed).expect("the page can be written");
    }
    let now = fs::read_to_string(&path).expect("the page");
    assert!(now == renewed, "{DOCS} shows what is told no more: FLOORGATE_RENEW=1 cargo test --test it lints");
}
